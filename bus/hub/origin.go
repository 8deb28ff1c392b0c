package hub

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"berth/bus"
	"berth/schema"
)

// passRequests passes what operators ask on to where core listens. Going through
// an import within the account makes the server write down, in a header that no
// client can set, whose connection a message came from. An external cluster is
// configured the same way: an export, and an import of it with share.
func passRequests(acc *server.Account) error {
	from, to := bus.SubjectAPI+">", bus.SubjectRequests+">"
	if err := acc.AddServiceExport(to, nil); err != nil {
		return fmt.Errorf("export %s: %w", to, err)
	}
	if err := acc.AddServiceImport(acc, from, to); err != nil {
		return fmt.Errorf("import %s: %w", to, err)
	}
	return acc.SetServiceImportSharing(acc, to, true)
}

// Origin says which operator a request came from that the server passed on, by the
// header it wrote and by the address of the answer. It refuses one whose answer
// would go anywhere but into that operator's own inbox: core may publish
// everywhere, and must not be made to. It sees nothing but this hub's server.
func (h *Hub) Origin(header, reply string) (bus.Origin, error) {
	var info struct {
		Account string `json:"acc"`
		NKey    string `json:"user"` // the key it signed in with
		Host    string `json:"host"`
	}
	if json.Unmarshal([]byte(header), &info) != nil || info.Account != bus.AccountFleet {
		return bus.Origin{}, schema.Errorf(schema.Unauthenticated, "nobody signed in sent this request")
	}
	h.auth.mu.Lock()
	reg := h.auth.registry
	h.auth.mu.Unlock()
	if reg == nil {
		return bus.Origin{}, schema.Errorf(schema.Unavailable, "core is still starting")
	}
	p, known := reg.Lookup(info.NKey)
	if !known || p.Revoked || p.Kind != KindOperator {
		return bus.Origin{}, schema.Errorf(schema.Denied, "requests are served to operators only")
	}
	answerTo, err := h.replyBehind(reply)
	if err != nil {
		return bus.Origin{}, err
	}
	if !strings.HasPrefix(answerTo, bus.Inbox(p.ID)+".") {
		return bus.Origin{}, schema.Errorf(schema.Denied, "the answer is not to go into the inbox of %s", p.ID)
	}
	return bus.Origin{NKey: info.NKey, Addr: info.Host}, nil
}

// replyBehind returns the reply address that a request had before the server
// replaced it by one of its own.
func (h *Hub) replyBehind(reply string) (string, error) {
	z, err := h.srv.Accountz(&server.AccountzOptions{Account: bus.AccountFleet})
	if err != nil || z.Account == nil {
		return "", schema.Wrap(schema.Internal, err, "look up the way of an answer")
	}
	r, pending := z.Account.Responses[reply]
	if !pending {
		return "", schema.Errorf(schema.Denied, "nobody waits for the answer")
	}
	return string(r.Subject), nil
}
