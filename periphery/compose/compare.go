package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Change is one difference between what was deployed last and what would be now.
type Change struct {
	Service string
	Input   string // name in Inputs; empty where the whole service is new or gone
	Text    string // "conf/nginx.conf changed"
}

// Compare names the differences between the inputs of the last success and now,
// by service and name. A service that is no longer in the project's files is a
// change; one that this plan merely does not select is not.
func (p *Plan) Compare(last, now map[string]Inputs) []Change {
	var out []Change
	for _, service := range sorted(now) {
		before, ok := last[service]
		if !ok {
			out = append(out, Change{service, "", fmt.Sprintf("service %s is new", service)})
			continue
		}
		out = append(out, compareService(service, before, now[service])...)
	}
	for _, service := range sorted(last) {
		if !p.known[service] {
			out = append(out, Change{service, "", fmt.Sprintf("service %s is gone", service)})
		}
	}
	return out
}

func compareService(service string, before, now Inputs) []Change {
	var out []Change
	for _, name := range sorted(now) {
		old, had := before[name]
		switch {
		case !had && strings.HasPrefix(name, "image:"):
			out = append(out, Change{service, name, describe(name) + " is used now"})
		case !had && strings.HasPrefix(name, "build:"):
			// Whether there is something to build is not a matter of the files.
			if !hasPrefix(before, "build:") {
				out = append(out, Change{service, name, describe(name) + " is to be built"})
			}
		case !had:
			out = append(out, Change{service, name, describe(name) + " added"})
		case old != now[name] && strings.HasPrefix(name, "image:"):
			out = append(out, Change{service, name, describe(name) + " moved"})
		case old != now[name]:
			out = append(out, Change{service, name, describe(name) + " changed"})
		}
	}
	for _, name := range sorted(before) {
		if _, has := now[name]; !has && !strings.HasPrefix(name, "image:") && !strings.HasPrefix(name, "build:") {
			out = append(out, Change{service, name, describe(name) + " removed"})
		}
	}
	return out
}

func hasPrefix(in Inputs, prefix string) bool {
	for name := range in {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// describe is an input's name in a user's words.
func describe(name string) string {
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "file", "field":
		return rest
	case "env":
		return "environment " + rest
	case "build":
		return "build context " + rest
	}
	return kind + " " + rest
}

// Digest is one value over the inputs of all services: equal means that nothing
// that feeds the deploy differs.
func Digest(all map[string]Inputs) string {
	h := sha256.New()
	for _, service := range sorted(all) {
		fmt.Fprintf(h, "%q\n", service)
		for _, name := range sorted(all[service]) {
			fmt.Fprintf(h, "%q=%q\n", name, all[service][name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
