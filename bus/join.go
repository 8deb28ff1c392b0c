package bus

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"

	"berth/schema"
)

const (
	joinPrefix   = "berth_join_"
	helloContext = "berth core hello v1"
	nonceBytes   = 32
)

// JoinToken is what an administrator carries to a new server, as one word: it
// lets an agent in once, and tells it whom to trust.
type JoinToken struct {
	Secret string   `json:"t"`           // shown to core once; core knows its hash
	Server string   `json:"s"`           // id of the server it is for
	Core   string   `json:"c"`           // core's public nkey
	Pin    []string `json:"p,omitempty"` // pins of core's TLS key
}

// NewJoinToken makes a token for a server. core is core's public nkey.
func NewJoinToken(server, core string, pin []string) JoinToken {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return JoinToken{Secret: base64.RawURLEncoding.EncodeToString(b[:]), Server: server, Core: core, Pin: pin}
}

// String is the token as one word.
func (t JoinToken) String() string {
	data, _ := json.Marshal(t) // strings only
	return joinPrefix + base64.RawURLEncoding.EncodeToString(data)
}

// Hash is what core keeps of the token.
func (t JoinToken) Hash() string { return TokenHash(t.Secret) }

// TokenHash is the SHA-256, in hex, under which a token's secret is kept.
func TokenHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// ParseJoinToken reads a token as String wrote it; schema.Invalid otherwise. The
// error never holds the token.
func ParseJoinToken(s string) (JoinToken, error) {
	var t JoinToken
	body, ok := strings.CutPrefix(strings.TrimSpace(s), joinPrefix)
	if !ok {
		return t, schema.Errorf(schema.Invalid, "join token: must begin with %s: copy the whole line of `berth server join-token`", joinPrefix)
	}
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil || t.Secret == "" || checkTokens(t.Server) != nil || !nkeys.IsValidPublicUserKey(t.Core) {
		return JoinToken{}, schema.Errorf(schema.Invalid, "join token: it is damaged: copy the whole line of `berth server join-token`")
	}
	return t, nil
}

// VerifyCore makes core prove, over the agent's connection, that it holds the key
// whose public half is core; schema.Denied when it cannot.
func VerifyCore(ctx context.Context, c *Conn, core string) (schema.HelloResp, error) {
	nonce := make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // never fails
	resp, err := Request(ctx, c, schema.AskHello, schema.HelloReq{Nonce: nonce})
	if err != nil {
		return resp, err
	}
	key, err := nkeys.FromPublicKey(core)
	if err != nil {
		return resp, schema.Wrap(schema.Invalid, err, "verify core: the pinned key is no nkey")
	}
	if err := key.Verify(helloText(c.agent, nonce), resp.Sig); err != nil {
		return schema.HelloResp{}, schema.Wrap(schema.Denied, err, "verify core: it is not the core this agent was joined to (%.8s…): "+
			"if core was set up anew, join again with a new token", core)
	}
	return resp, nil
}

// ServeHello answers VerifyCore of agents with the seed that core has now. fn says what the
// agent is told about itself.
func ServeHello(c *Conn, seed func() []byte, version string, fn func(ctx context.Context, agent string) (schema.Target, error)) error {
	return Serve(c, schema.AskHello, func(ctx context.Context, agent string, req schema.HelloReq) (schema.HelloResp, error) {
		if len(req.Nonce) != nonceBytes {
			return schema.HelloResp{}, schema.Errorf(schema.Invalid, "hello: the nonce must have %d bytes", nonceBytes)
		}
		kp, err := nkeys.FromSeed(seed())
		if err != nil {
			return schema.HelloResp{}, fmt.Errorf("read core's key: %w", err)
		}
		sig, err := kp.Sign(helloText(agent, req.Nonce))
		if err != nil {
			return schema.HelloResp{}, fmt.Errorf("sign hello: %w", err)
		}
		server, err := fn(ctx, agent)
		return schema.HelloResp{Sig: sig, Server: server, Version: version}, err
	})
}

// helloText is what core signs: never anything the agent chose alone, so that the
// signature cannot serve as a login elsewhere.
func helloText(agent string, nonce []byte) []byte {
	return append([]byte(helloContext+"\n"+agent+"\n"), nonce...)
}
