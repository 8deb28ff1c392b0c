package backup

import (
	"errors"
	"io"
	"strings"

	"filippo.io/age"

	"berth/schema"
)

// Recipients says who can open a backup: the holders of these age recipients, or
// who knows the passphrase. age allows one of the two, not both. schema.Invalid
// names what is wrong, and what to set when there is neither.
func Recipients(recipients []string, passphrase string) ([]age.Recipient, error) {
	switch {
	case len(recipients) > 0 && passphrase != "":
		return nil, schema.Errorf(schema.Invalid, "a backup is opened by recipients' keys or by a passphrase, not by both: give one of them")
	case passphrase != "":
		r, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return nil, schema.Wrap(schema.Invalid, err, "passphrase: %v", err)
		}
		return []age.Recipient{r}, nil
	}
	var out []age.Recipient
	for _, text := range recipients {
		r, err := parseRecipient(text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, schema.Errorf(schema.Invalid, "nobody could open the backup: name recipients (age1…) or a passphrase")
	}
	return out, nil
}

func parseRecipient(text string) (age.Recipient, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "AGE-SECRET-KEY-") {
		return nil, schema.Errorf(schema.Invalid, "recipient: this is a private key: give its public half, which begins with age1 (age-keygen -y prints it)")
	}
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, schema.Errorf(schema.Invalid, "recipient %.70q: it must be an age recipient, which begins with age1", text)
	}
	return list[0], nil
}

// Identities are what opens a backup: the text of an age identity file, or the
// passphrase.
func Identities(identity io.Reader, passphrase string) ([]age.Identity, error) {
	if identity != nil {
		ids, err := age.ParseIdentities(identity)
		if err != nil || len(ids) == 0 {
			return nil, schema.Errorf(schema.Invalid, "identity file: it holds no age identity (AGE-SECRET-KEY-1…)")
		}
		return ids, nil
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "passphrase: %v", err)
	}
	return []age.Identity{id}, nil
}

// open decrypts; errors are schema.Invalid and say what is wrong with file or key.
func open(in io.Reader, ids []age.Identity) (io.Reader, error) {
	r, err := age.Decrypt(in, ids...)
	if err == nil {
		return r, nil
	}
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok || strings.Contains(err.Error(), "incorrect passphrase") {
		return nil, schema.Wrap(schema.Invalid, err, "the passphrase or identity does not open this backup")
	}
	return nil, schema.Wrap(schema.Invalid, err, "it is no backup, or its beginning is damaged")
}

// Verify reads a backup to its end and compares every part with its digest.
// schema.Invalid says why it is refused.
func Verify(in io.Reader, ids []age.Identity) (Manifest, error) {
	r, err := open(in, ids)
	if err != nil {
		return Manifest{}, err
	}
	return reader{}.read(r)
}

// Reseal reads a backup that ids open, verifies it on the way, and writes it anew
// for others. What it wrote is worth nothing when it fails.
func Reseal(out io.Writer, in io.Reader, ids []age.Identity, to []age.Recipient) (Manifest, error) {
	plain, err := open(in, ids)
	if err != nil {
		return Manifest{}, err
	}
	w, err := age.Encrypt(out, to...)
	if err != nil {
		return Manifest{}, schema.Wrap(schema.Invalid, err, "encrypt the backup: %v", err)
	}
	m, err := reader{}.read(io.TeeReader(plain, w))
	if err != nil {
		return m, err
	}
	return m, w.Close()
}
