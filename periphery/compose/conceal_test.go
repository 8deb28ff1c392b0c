package compose_test

import (
	"strings"
	"testing"

	"berth/periphery/compose"
	"berth/schema"
)

// What the loader says of a value that comes from a secret names the field and
// the secret, never a piece of it; what it says of anything else is kept.
func TestLoadConceals(t *testing.T) {
	file := func(text string) map[string]string { return map[string]string{"compose.yaml": text} }
	memory := func(name, text string, secrets map[string]string) func(*compose.Spec) {
		return func(s *compose.Spec) {
			s.Memory, s.Secrets = map[string][]byte{s.Dir + "/" + name: []byte(text)}, secrets
		}
	}
	ports := map[string]string{"[[PORTS]]": "k4nary:pl0ver:x"}
	ordinary := "TAG=web.example.com\nPORT=60000\nRESTART=unless-stopped\nINTERVAL=30s\n"
	for _, c := range []struct {
		name   string
		files  map[string]string
		change func(*compose.Spec)
		want   []string
	}{
		{
			"in the file's text", nil,
			memory("compose.yaml", `services: { web: { image: x, ports: ["k4nary:pl0ver:x"] } }`, ports),
			[]string{"services.web.ports[0] is not right", "[[PORTS]]"},
		},
		{
			"behind other text", nil,
			memory("compose.yaml", `services: { web: { image: x, ports: ["80k4nary:pl0ver:x"] } }`, ports),
			[]string{"services.web.ports[0]", "[[PORTS]]"},
		},
		{
			"by way of the environment", file(`services: { web: { image: x, ports: ["${MAPPING}"] } }`),
			memory(".env", "MAPPING=k4nary:pl0ver:x\n", ports),
			[]string{"services.web.ports[0]", "[[PORTS]]"},
		},
		{
			"decrypted", file(`services: { web: { image: x, deploy: { replicas: "${MANY}" } } }`),
			memory(".env", "MANY=k4nary-pl0ver\nOTHER=1\n", nil),
			[]string{"services.web.deploy.replicas", "the secret $MANY"},
		},
		{
			"for the command only", file(`services: { web: { image: x, ports: ["$MAPPING"] } }`),
			func(s *compose.Spec) {
				s.Environment, s.Secrets = map[string]string{"MAPPING": "k4nary:pl0ver:x"}, map[string]string{"MAPPING": "k4nary:pl0ver:x"}
			},
			[]string{"services.web.ports[0]", "MAPPING"},
		},
		{
			"that breaks the file", nil,
			memory("compose.yaml", "services: { web: { image: k4nary: pl0ver } }", map[string]string{"[[X]]": "k4nary: pl0ver"}),
			[]string{"parse", "compose.yaml", "L1."},
		},
		{
			"in a flag", file(`services: { web: { image: x } }`),
			func(s *compose.Spec) {
				s.ExtraArgs, s.Secrets = []string{"--pull k4nary pl0ver"}, map[string]string{"[[X]]": "k4nary pl0ver"}
			},
			[]string{"extra_args is not right", "[[X]]"},
		},
		{
			"in other letters", file(`services: { web: { image: x, ports: ["${TAG}"] } }`),
			memory(".env", "TAG=kanarя:plover\n", nil),
			[]string{"services.web.ports[0]", "$TAG"},
		},
		{
			"beside the error", file(`services: { web: { image: "x:1", ports: ["${PORT}:80"], restart: "$RESTART", hostname: "$TAG", imagee: y } }`),
			memory(".env", ordinary, nil),
			[]string{"services.web", "'imagee' not allowed"},
		},
		{
			"beside another value", file(`services: { web: { image: "x:1", hostname: "$TAG", ports: ["60000:what"], healthcheck: { interval: "${INTERVAL}" } } }`),
			memory(".env", ordinary, nil),
			[]string{"what"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.files, c.change)
			text := schema.SafeText(err)
			t.Log(text)
			if schema.CodeOf(err) != schema.Invalid {
				t.Errorf("code %s", schema.CodeOf(err))
			}
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not in: %s", w, text)
				}
			}
			for _, piece := range []string{"k4nary", "pl0ver", "kanar", "plover"} {
				if strings.Contains(strings.ToLower(text+err.Error()), piece) {
					t.Errorf("tells a piece of the secret: %v", err)
				}
			}
		})
	}
}
