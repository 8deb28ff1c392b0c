package core

import (
	"testing"

	"github.com/nats-io/nkeys"
)

// public makes the public half of an agent's key.
func public(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAServerIsMadeWithTheKeyOfItsAgent(t *testing.T) {
	d := newDesk(t)
	one, two := public(t), public(t)
	d.steps(
		step{"write/CreateServer", `{"name":"atlas","public_key":"` + one + `"}`, 200, `"public_key":"` + one + `"`, ""},
		step{"read/GetServer", `{"server":"atlas"}`, 200, `"public_key":"` + one + `"`, ""},
		step{"write/CreateServer", `{"name":"brook","public_key":"` + one + `"}`, 409, "the key is of another", ""},
		step{"write/CreateServer", `{"name":"brook","public_key":"MCowBQYDK2VuAyEA"}`, 422, "public nkey", ""},
		step{"read/GetServer", `{"server":"brook"}`, 404, "brook", ""},
		step{"read/ListUpdates", `{"query":{"operation":"CreateServer"}}`, 200, `"operation":"CreateServer"`, "brook"},
		step{"write/CopyServer", `{"name":"cove","id":"atlas","public_key":"` + one + `"}`, 409, "the key is of another", ""},
		step{"write/CopyServer", `{"name":"cove","id":"atlas","public_key":"` + two + `"}`, 200, `"public_key":"` + two + `"`, ""},
		step{"write/CopyServer", `{"name":"dell","id":"atlas"}`, 200, `"public_key":""`, ""},
		step{"write/CreateStack", `{"name":"web","public_key":"` + two + `"}`, 200, `"name":"web"`, two},
	)
}
