package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr"

	"berth/schema"
)

// post sends an alert to an endpoint. No error names the address: it is a secret.
func (a *Alerts) post(ctx context.Context, e schema.AlerterEndpoint, al schema.Alert) error {
	switch e.Type {
	case "Custom":
		return a.json(ctx, e.Custom.URL, al.Wire(), nil)
	case "Slack":
		return a.json(ctx, e.Slack.URL, map[string]any{"text": mark(al.Level) + " *" + title(al) + "*\n" + al.Message}, nil)
	case "Discord":
		return a.json(ctx, e.Discord.URL, map[string]any{"content": clip(mark(al.Level)+" **"+title(al)+"**\n"+al.Message, 2000)}, nil)
	case "Ntfy":
		return a.ntfy(ctx, *e.Ntfy, al)
	case "Pushover":
		return a.pushover(ctx, e.Pushover.URL, al)
	case "Shoutrrr":
		return a.shout(ctx, e.Shoutrrr.URL, al)
	}
	return schema.Errorf(schema.Unsupported, "endpoints of type %s are not known", e.Type)
}

// title names what an alert is about.
func title(al schema.Alert) string {
	t := string(al.Level) + ": " + al.Type
	if al.Target.Name != "" && al.Target.Kind != "system" {
		t += " · " + al.Target.Kind + " " + al.Target.Name
	}
	if al.Resolved && !al.Once {
		t = "resolved: " + t
	}
	return t
}

func mark(s schema.Severity) string {
	switch s {
	case schema.SeverityCritical:
		return "🔴"
	case schema.SeverityWarning:
		return "🟠"
	case schema.SeverityOK:
	}
	return "🟢"
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func (a *Alerts) json(ctx context.Context, address string, body any, header http.Header) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	return a.request(ctx, address, "application/json", b, header)
}

func (a *Alerts) ntfy(ctx context.Context, e schema.NtfyEndpoint, al schema.Alert) error {
	h := http.Header{"X-Title": {title(al)}, "X-Priority": {"3"}}
	if rank(al.Level) == 2 {
		h.Set("X-Priority", "5")
	}
	if e.Email != "" {
		h.Set("X-Email", e.Email)
	}
	return a.request(ctx, e.URL, "text/plain; charset=utf-8", []byte(al.Message), h)
}

func (a *Alerts) pushover(ctx context.Context, address string, al schema.Alert) error {
	form := url.Values{"title": {clip(title(al), 250)}, "message": {clip(al.Message, 1024)}}
	if rank(al.Level) == 2 {
		form.Set("priority", "1")
	}
	return a.request(ctx, address, "application/x-www-form-urlencoded", []byte(form.Encode()), nil)
}

// request posts to an address in which variables are replaced first.
func (a *Alerts) request(ctx context.Context, address, kind string, body []byte, header http.Header) error {
	address, err := a.cfg.Reveal(ctx, address)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return schema.Errorf(schema.Invalid, "its address is no URL: set endpoint.params.url")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "berth")
	resp, err := a.cfg.HTTP.Do(req)
	if err != nil {
		return schema.Errorf(schema.Unavailable, "%s: %s", req.URL.Host, reason(err))
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 8<<10)) // for people; half of it is as good
	if resp.StatusCode/100 != 2 {
		return schema.Errorf(schema.Failed, "%s answered %s %s", req.URL.Host, resp.Status, strings.TrimSpace(clip(without(string(answer), req.URL), 200)))
	}
	return nil
}

// without takes out of an answer what it repeats of the address: the path, or parts
// of it, and the values of the query.
func without(answer string, u *url.URL) string {
	const short = 6                                                                                // words as short as this are no secrets, and in many answers
	secrets := append([]string{u.RequestURI(), u.Path, u.RawQuery}, strings.Split(u.Path, "/")...) // the longest first
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, password, u.User.Username())
	}
	for _, s := range secrets {
		for _, form := range []string{s, url.PathEscape(s), url.QueryEscape(s)} {
			if len(form) >= short {
				answer = strings.ReplaceAll(answer, form, "…")
			}
		}
	}
	return answer
}

// reason is why a request failed, without its address.
func reason(err error) string {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

// shout sends by a service of shoutrrr's. Its errors may hold the address: only
// what it is about is told.
func (a *Alerts) shout(ctx context.Context, address string, al schema.Alert) error {
	address, err := a.cfg.Reveal(ctx, address)
	if err != nil {
		return err
	}
	service, _, _ := strings.Cut(address, ":")
	sender, err := shoutrrr.CreateSender(address)
	if err != nil {
		return schema.Errorf(schema.Invalid, "shoutrrr does not take the address for %q: see its documentation of that service", clip(service, 20))
	}
	done := make(chan []error, 1)
	go func() { done <- sender.Send(title(al)+"\n"+al.Message, nil) }() // bounded by its own timeout
	select {
	case <-ctx.Done():
		return schema.Errorf(schema.Unavailable, "%s: no answer in time", service)
	case errs := <-done:
		if err := errors.Join(errs...); err != nil {
			return schema.Wrap(schema.Failed, errors.New(strings.ReplaceAll(err.Error(), address, service+"://…")), "%s did not take it", service)
		}
	}
	return nil
}
