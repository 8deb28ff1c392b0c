package periphery

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/bus"
	"berth/schema"
)

// keptFolder holds what is needed to deploy a stack again without core: a file for
// each stack, by id.
const keptFolder = "deployed"

// keptStack is what the agent keeps of a stack after a good deploy. It holds no
// value of a secret in the clear.
type keptStack struct {
	Req schema.StackUpReq `json:"req"` // texts as stored in core: with [[NAME]]
	At  int64             `json:"at"`  // unix ms
	// Plain are the variables that are not secret.
	Plain map[string]schema.VariableValue `json:"plain,omitempty"`
	// Sealed is all that core answered, sealed with the host's age identity; empty
	// when it has none, or when there was nothing secret. Secret are the names of the
	// variables and accounts in it.
	Sealed string   `json:"sealed,omitempty"`
	Secret []string `json:"secret,omitempty"`
}

func (a *Agent) keptFile(id string) string {
	return filepath.Join(a.cfg.Data, keptFolder, folder(id)+".json")
}

// keepStack keeps what a good deploy needed.
func (a *Agent) keepStack(req schema.StackUpReq, know schema.SecretsResp, deployed *schema.Deployed) error {
	k := keptStack{Req: req, At: time.Now().UnixMilli(), Plain: map[string]schema.VariableValue{}}
	k.Req.Services, k.Req.StopTime, k.Req.IfChanged, k.Req.Resume = nil, nil, false, false
	k.Req.Config.WebhookSecret = ""
	if deployed != nil {
		d := *deployed
		d.Server = a.join.Server
		k.Req.Last = &d
	}
	for name, v := range know.Variables {
		if v.Secret {
			k.Secret = append(k.Secret, name)
		} else {
			k.Plain[name] = v
		}
	}
	for _, t := range slices.Concat(know.Git, know.Registry) {
		k.Secret = append(k.Secret, account(t.AccountRef))
	}
	slices.Sort(k.Secret)
	if keys, err := a.keys(); err == nil && len(k.Secret) > 0 && keys.CanSeal() {
		text, err := json.Marshal(know)
		if err == nil {
			k.Sealed, err = keys.Seal(text)
		}
		if err != nil {
			return err
		}
	}
	data, err := json.Marshal(k)
	if err == nil {
		err = bus.WritePrivate(a.keptFile(req.ID), data)
	}
	if err != nil {
		return schema.Wrap(schema.Failed, err, "keep what stack %q was deployed with in %s: check the disk", req.Name, filepath.Join(a.cfg.Data, keptFolder))
	}
	return nil
}

func account(r schema.AccountRef) string { return r.Account + " at " + r.Provider }

// kept finds what is kept of a stack, by name or id. NotFound names those there are.
func (a *Agent) kept(stack string) (*keptStack, error) {
	files, err := os.ReadDir(filepath.Join(a.cfg.Data, keptFolder))
	if err != nil && !os.IsNotExist(err) {
		return nil, schema.Wrap(schema.Failed, err, "read %s", filepath.Join(a.cfg.Data, keptFolder))
	}
	var (
		names []string
		found *keptStack
	)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(a.cfg.Data, keptFolder, f.Name()))
		if err != nil {
			continue
		}
		k := &keptStack{}
		if json.Unmarshal(data, k) != nil || k.Req.ID == "" {
			continue
		}
		names = append(names, k.Req.Name)
		// A stack that took over the name of a removed one was deployed later.
		if (k.Req.Name == stack || k.Req.ID == stack) && (found == nil || k.At > found.At) {
			found = k
		}
	}
	if found != nil {
		return found, nil
	}
	if len(names) == 0 {
		return nil, schema.Errorf(schema.NotFound, "no stack was deployed on this server yet, so none can be deployed without core")
	}
	return nil, schema.Errorf(schema.NotFound, "stack %q was not deployed on this server yet; known here: %s", stack, strings.Join(names, ", "))
}

// answer is what core answered when the stack was deployed, for the same questions.
// What was secret and could not be kept is named in the error.
func (k *keptStack) answer(a *Agent, n needs) (schema.SecretsResp, error) {
	var resp schema.SecretsResp
	if k.Sealed != "" {
		keys, err := a.keys()
		if err != nil {
			return resp, err
		}
		text, err := keys.Unseal(k.Sealed)
		if err == nil {
			err = json.Unmarshal(text, &resp)
		}
		if err != nil {
			return resp, schema.Wrap(schema.Denied, err, "read %s as they were at the last deploy: %s: put that key back, or wait for core", strings.Join(k.Secret, ", "), schema.SafeText(err))
		}
		return resp, nil
	}
	resp.Variables = k.Plain
	var missing []string
	for _, name := range n.names {
		if _, ok := k.Plain[name]; !ok && slices.Contains(k.Secret, name) {
			missing = append(missing, name)
		}
	}
	for _, r := range slices.Concat(n.git, n.registry) {
		if slices.Contains(k.Secret, account(r)) {
			missing = append(missing, "the token of "+account(r))
		}
	}
	if len(missing) > 0 {
		return resp, schema.Errorf(schema.NotFound, "%s: only core has the value, and this server had no age key to keep it with at the last deploy", strings.Join(slices.Compact(missing), ", "))
	}
	return resp, nil
}

// remember keeps what the deploy was made with; that it could not be is no failure
// of the deploy.
func (d *deployment) remember(req schema.StackUpReq) {
	deployed := d.resp.Deployed
	if deployed == nil {
		deployed = req.Last
	}
	var know schema.SecretsResp
	if d.know != nil {
		know = d.know.SecretsResp
	}
	if err := d.a.keepStack(req, know, deployed); err != nil {
		d.warn("it cannot be deployed without core: " + schema.SafeText(err))
	}
}
