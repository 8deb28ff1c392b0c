package bus

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"

	"berth/schema"
)

// An onboarding key is 32 characters, O_ and _O around 28 random ones. As Komodo
// has it they are the private half of an X25519 key, whose public half names the
// key. Who has it is proved both ways with a secret that is derived from it, which
// core keeps: so neither end needs to trust the line between them.
const (
	onboardContext = "berth onboarding v1"
	onboardReq     = "berth onboarding request v1\n"
	onboardResp    = "berth onboarding answer v1\n"
	onboardLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	onboardLength  = 28
)

// OnboardKey is an onboarding key as its ends use it.
type OnboardKey struct {
	Public string // as SPKI in base64
	Secret []byte // what proofs are made with
}

// NewOnboardKey makes the private text of an onboarding key.
func NewOnboardKey() string {
	var b strings.Builder
	b.WriteString("O_")
	for one := []byte{0}; b.Len() < onboardLength+2; {
		_, _ = rand.Read(one) // never fails
		if at := int(one[0]); at < 4*len(onboardLetters) {
			b.WriteByte(onboardLetters[at%len(onboardLetters)])
		}
	}
	return b.String() + "_O"
}

// ParseOnboardKey reads the private text of an onboarding key; schema.Invalid
// otherwise. The error never holds the key.
func ParseOnboardKey(private string) (OnboardKey, error) {
	private = strings.TrimSpace(private)
	if len(private) != onboardLength+4 || !strings.HasPrefix(private, "O_") || !strings.HasSuffix(private, "_O") {
		return OnboardKey{}, schema.Errorf(schema.Invalid, "onboarding key: must look like O_…_O, with %d characters between: copy it whole", onboardLength)
	}
	key, err := ecdh.X25519().NewPrivateKey([]byte(private))
	if err != nil {
		return OnboardKey{}, schema.Errorf(schema.Invalid, "onboarding key: it is damaged: copy it whole")
	}
	spki, err := x509.MarshalPKIXPublicKey(key.PublicKey())
	if err != nil {
		return OnboardKey{}, fmt.Errorf("encode the onboarding key: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, []byte(private), nil, onboardContext, sha256.Size)
	if err != nil {
		return OnboardKey{}, fmt.Errorf("derive from the onboarding key: %w", err)
	}
	return OnboardKey{Public: base64.StdEncoding.EncodeToString(spki), Secret: secret}, nil
}

// AskOnboard fills in the proofs of a request: with the agent's seed, and the
// onboarding key unless that is nil.
func AskOnboard(req schema.OnboardReq, seed []byte, key *OnboardKey) (schema.OnboardReq, error) {
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return req, schema.Wrap(schema.Invalid, err, "read the nkey seed")
	}
	if req.NKey, err = kp.PublicKey(); err != nil {
		return req, fmt.Errorf("read the nkey: %w", err)
	}
	req.Nonce = make([]byte, nonceBytes)
	_, _ = rand.Read(req.Nonce) // never fails
	if key != nil {
		req.Key = key.Public
		req.Proof = mac(key.Secret, askText(req))
	}
	if req.Sig, err = kp.Sign(askText(req)); err != nil {
		return req, fmt.Errorf("sign the request: %w", err)
	}
	return req, nil
}

// CheckOnboardNKey checks that whoever asks has the nkey's private half.
func CheckOnboardNKey(req schema.OnboardReq) error {
	key, err := nkeys.FromPublicKey(req.NKey)
	if err != nil || !nkeys.IsValidPublicUserKey(req.NKey) || len(req.Nonce) != nonceBytes {
		return schema.Errorf(schema.Invalid, "no public nkey, or no nonce of %d bytes", nonceBytes)
	}
	if err := key.Verify(askText(req), req.Sig); err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "the signature is not of the nkey")
	}
	return nil
}

// CheckOnboardKey checks that whoever asks has the onboarding key.
func CheckOnboardKey(req schema.OnboardReq, secret []byte) bool {
	return hmac.Equal(req.Proof, mac(secret, askText(req)))
}

// AnswerOnboard fills in the proofs of an answer: with core's seed, and the secret
// of the onboarding key unless that is nil.
func AnswerOnboard(req schema.OnboardReq, resp schema.OnboardResp, seed, secret []byte) (schema.OnboardResp, error) {
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return resp, schema.Wrap(schema.Invalid, err, "read core's key")
	}
	if resp.Core, err = kp.PublicKey(); err != nil {
		return resp, fmt.Errorf("read core's key: %w", err)
	}
	resp.Proof, resp.Sig = nil, nil
	text := answerText(req, resp)
	if secret != nil {
		resp.Proof = mac(secret, text)
	}
	if resp.Sig, err = kp.Sign(text); err != nil {
		return resp, fmt.Errorf("sign the answer: %w", err)
	}
	return resp, nil
}

// CheckOnboardAnswer checks that the answer is of the key it names; proved says
// that it is of a core that knows the onboarding key.
func CheckOnboardAnswer(req schema.OnboardReq, resp schema.OnboardResp, key *OnboardKey) (proved bool, err error) {
	core, err := nkeys.FromPublicKey(resp.Core)
	if err != nil || !nkeys.IsValidPublicUserKey(resp.Core) {
		return false, schema.Errorf(schema.Denied, "the answer names no key of core")
	}
	proof, sig := resp.Proof, resp.Sig
	resp.Proof, resp.Sig = nil, nil
	text := answerText(req, resp)
	if err := core.Verify(text, sig); err != nil {
		return false, schema.Wrap(schema.Denied, err, "the answer is not of the core it names")
	}
	return key != nil && hmac.Equal(proof, mac(key.Secret, text)), nil
}

func mac(secret, text []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(text)
	return h.Sum(nil)
}

// askText is what the proofs of a request are over: all but they.
func askText(req schema.OnboardReq) []byte {
	req.Proof, req.Sig = nil, nil
	b, _ := json.Marshal(req) // plain values
	return append([]byte(onboardReq), b...)
}

// answerText ties an answer to its question.
func answerText(req schema.OnboardReq, resp schema.OnboardResp) []byte {
	b, _ := json.Marshal(resp) // plain values
	return append(append(append([]byte(onboardResp), askText(req)...), '\n'), b...)
}
