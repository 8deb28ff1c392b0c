package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/micro"

	"berth/schema"
)

// Origin is where a request on the bus came from.
type Origin struct {
	NKey string // the operator's public key
	Addr string // of his connection
}

// Requests is how core answers the table of requests on the bus.
type Requests struct {
	Version string
	Groups  []string // read, execute
	// Origin says who sent a request, by what the server noted of it and by its
	// reply address; an error refuses it.
	Origin func(info, reply string) (Origin, error)
	Answer func(ctx context.Context, from Origin, group, request string, params json.RawMessage) (json.RawMessage, error)
	// Problem is the body of an answer that says what went wrong.
	Problem func(error) any
}

// ServeRequests lets core answer operators as one service with an endpoint per
// group, which the stock client finds and measures; several cores share the work.
func ServeRequests(c *Conn, r Requests) error {
	svc, err := micro.AddService(c.nc, micro.Config{
		Name: ServiceCore, Version: "1.0.0", Metadata: map[string]string{"version": r.Version}, QueueGroup: queueCore,
		Description: "Berth core: requests as " + SubjectAPI + "GROUP.REQUEST with the parameters as JSON",
	})
	if err != nil {
		return fmt.Errorf("start core's service: %w", err)
	}
	for _, group := range r.Groups {
		if err := checkTokens(group); err != nil {
			return err
		}
		prefix := SubjectRequests + group + "."
		h := func(m micro.Request) {
			if m.Reply() == "" { // nobody waits for an answer, and nobody says who it was
				return
			}
			q := call{subject: m.Subject(), reply: m.Reply(), left: m.Headers().Get(headerLeft), data: m.Data(), problem: r.Problem}
			from, err := r.Origin(m.Headers().Get(headerOrigin), m.Reply())
			if err != nil {
				c.log.Warn("refused a request on the bus", "subject", m.Subject(), "err", err)
				return
			}
			c.handle(q, func(ctx context.Context, data []byte) (any, error) {
				if len(data) == 0 {
					data = []byte("{}")
				}
				if !json.Valid(data) {
					return nil, schema.Errorf(schema.Invalid, "the parameters are not JSON")
				}
				return r.Answer(ctx, from, group, strings.TrimPrefix(m.Subject(), prefix), data)
			})
		}
		if err := svc.AddEndpoint(group, micro.HandlerFunc(h), micro.WithEndpointSubject(prefix+"*")); err != nil {
			return fmt.Errorf("serve requests of %s: %w", group, err)
		}
	}
	return nil
}
