package secrets

import (
	"bytes"
	"encoding/base64"
	"io"

	"filippo.io/age"

	"berth/schema"
)

// CanSeal reports whether there is an identity to seal with.
func (k *Keys) CanSeal() bool { return k != nil && len(k.identities) > 0 }

// Seal encrypts data for the first identity of this host, as text. Code NotFound
// when there is none.
func (k *Keys) Seal(plain []byte) (string, error) {
	if !k.CanSeal() {
		return "", schema.Errorf(schema.NotFound, "seal: there is no age key on this host")
	}
	to, err := recipientOf(k.identities[0])
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", schema.Wrap(schema.Internal, err, "seal")
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// Unseal decrypts what Seal made on this host. Code Denied when it was sealed with
// an identity that this host no longer has, Invalid when it is damaged.
func (k *Keys) Unseal(text string) ([]byte, error) {
	if !k.CanSeal() {
		return nil, schema.Errorf(schema.Denied, "unseal: there is no age key on this host")
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "unseal: it is damaged")
	}
	r, err := age.Decrypt(bytes.NewReader(data), k.identities...)
	if err != nil {
		return nil, schema.Wrap(schema.Denied, err, "unseal: it was sealed with another age key than that of this host")
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "unseal: it is damaged")
	}
	return plain, nil
}

func recipientOf(id age.Identity) (age.Recipient, error) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient(), nil
	case *age.HybridIdentity:
		return id.Recipient(), nil
	}
	return nil, schema.Errorf(schema.Unsupported, "seal: an identity of an unknown kind")
}
