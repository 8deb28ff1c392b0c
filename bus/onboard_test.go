package bus

import (
	"strings"
	"testing"

	"berth/schema"
)

func TestOnboardKeyForm(t *testing.T) {
	text := NewOnboardKey()
	k, err := ParseOnboardKey(" " + text + "\n")
	if err != nil || len(text) != 32 || !strings.HasPrefix(k.Public, "MCowBQYDK2VuAyEA") || text == NewOnboardKey() {
		t.Fatalf("%q %+v %v", text, k, err)
	}
	for _, bad := range []string{"", "O__O", text[:31], text + "x", strings.Replace(text, "O_", "K_", 1)} {
		if _, err := ParseOnboardKey(bad); schema.CodeOf(err) != schema.Invalid || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whatever is changed on the way is noticed, by both ends.
func TestOnboardProofs(t *testing.T) {
	seed, err := NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	core, _ := NewSeed()
	key, _ := ParseOnboardKey(NewOnboardKey())
	other, _ := ParseOnboardKey(NewOnboardKey())
	req, err := AskOnboard(schema.OnboardReq{Name: "nexus", Sent: 1}, seed, &key)
	if err != nil || CheckOnboardNKey(req) != nil || !CheckOnboardKey(req, key.Secret) || CheckOnboardKey(req, other.Secret) {
		t.Fatalf("an honest request: %v", err)
	}
	for name, change := range map[string]func(*schema.OnboardReq){
		"name":  func(r *schema.OnboardReq) { r.Name = "vault" },
		"time":  func(r *schema.OnboardReq) { r.Sent++ },
		"key":   func(r *schema.OnboardReq) { r.Key = other.Public },
		"nonce": func(r *schema.OnboardReq) { r.Nonce = make([]byte, nonceBytes) },
		"nkey":  func(r *schema.OnboardReq) { r.NKey, _ = PublicKey(core) },
	} {
		forged := req
		change(&forged)
		if CheckOnboardNKey(forged) == nil || CheckOnboardKey(forged, key.Secret) {
			t.Errorf("a forged %s is believed", name)
		}
	}
	resp, err := AnswerOnboard(req, schema.OnboardResp{Server: schema.Target{ID: "1"}, Pin: []string{"p"}}, core, key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if proved, err := CheckOnboardAnswer(req, resp, &key); !proved || err != nil {
		t.Errorf("an honest answer: %v %v", proved, err)
	}
	forged := resp
	forged.Pin = []string{"mine"}
	if _, err := CheckOnboardAnswer(req, forged, &key); schema.CodeOf(err) != schema.Denied {
		t.Errorf("a forged pin: %v", err)
	}
	mine, err := AnswerOnboard(req, schema.OnboardResp{Server: schema.Target{ID: "1"}}, seed, other.Secret) // who does not know the key
	if err != nil {
		t.Fatal(err)
	}
	if proved, err := CheckOnboardAnswer(req, mine, &key); proved || err != nil {
		t.Errorf("another's answer: %v %v", proved, err)
	}
	again := req
	again.Nonce = []byte("another question")
	if _, err := CheckOnboardAnswer(again, resp, &key); schema.CodeOf(err) != schema.Denied {
		t.Errorf("an answer to another question: %v", err)
	}
}
