package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
)

// alertPage is how many alerts ListAlerts answers at a time.
const alertPage = 100

// Alerts are the stored alerts.
type Alerts interface {
	All() []schema.Alert // newest first
	Alert(id string) (schema.Alert, error)
	Close(ctx context.Context, id string) error
	Deliveries(alert string) []schema.AlertDelivery
}

type alertQuery struct {
	Query json.RawMessage `json:"query,omitempty" doc:"Filter document: fields of the alert with the values wanted, $or, $and, $in, $ne, $gt, $lt."`
	Page  int             `json:"page,omitempty" doc:"Page, from 0, of 100 alerts each; newest first."`
}

type alertList struct {
	Alerts []schema.AlertWire `json:"alerts"`
	Next   *int               `json:"next_page"`
}

type alertID struct {
	ID string `json:"id" doc:"Id of the alert."`
}

func (a *API) alertRows() []Row {
	if a.deps.Alerts == nil {
		return nil
	}
	example := map[string]any{"id": "67f0c0ffee0123456789abcd"}
	return []Row{
		Read(spec{name: "ListAlerts", doc: "List alerts, newest first.", needs: access.CanRead, filters: true, example: map[string]any{"query": map[string]any{"resolved": false}}}, a.listAlerts),
		Read(spec{name: "GetAlert", doc: "Show an alert.", needs: access.CanRead, filters: true, example: example}, func(ctx context.Context, p alertID) (schema.AlertWire, error) {
			al, err := a.alert(ctx, p.ID)
			return al.Wire(), err
		}),
		Read(spec{name: "ListAlertDeliveries", doc: "List what became of an alert, alerter by alerter.", needs: access.CanRead, filters: true, own: true, example: example}, func(ctx context.Context, p alertID) ([]schema.AlertDelivery, error) {
			if _, err := a.alert(ctx, p.ID); err != nil {
				return nil, err
			}
			return a.deps.Alerts.Deliveries(p.ID), nil
		}),
		Write(spec{name: "CloseAlert", doc: "Close an alert by hand.", needs: access.IsAdmin, example: example}, func(ctx context.Context, p alertID) (None, error) {
			return None{}, a.deps.Alerts.Close(ctx, p.ID)
		}),
	}
}

// alert finds an alert that the caller may read.
func (a *API) alert(ctx context.Context, id string) (schema.Alert, error) {
	absent := func() error { return schema.Errorf(schema.NotFound, "there is no alert %q", cut(id, 40)) }
	al, err := a.deps.Alerts.Alert(id)
	switch c, _ := access.CallerOf(ctx); {
	case err == nil:
		err = unseen(ctx, access.Permit(ctx, access.CanRead, al.Target), al.Target, absent)
	case schema.CodeOf(err) == schema.NotFound && !c.Admin:
		err = absent()
	}
	if err != nil {
		return schema.Alert{}, err
	}
	return al, nil
}

func (a *API) listAlerts(ctx context.Context, p alertQuery) (alertList, error) {
	match, err := parseFilter(p.Query)
	if err != nil {
		return alertList{}, err
	}
	may := readable(ctx)
	out := alertList{Alerts: []schema.AlertWire{}}
	skip := max(p.Page, 0) * alertPage
	for _, al := range a.deps.Alerts.All() {
		w := al.Wire()
		if may != nil && !may(al.Target) || !match(document(w)) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(out.Alerts) == alertPage {
			next := max(p.Page, 0) + 1
			out.Next = &next
			break
		}
		out.Alerts = append(out.Alerts, w)
	}
	return out, nil
}

// alerterItem has the members of Komodo's list item.
type alerterItem struct {
	Enabled  bool   `json:"enabled"`
	Endpoint string `json:"endpoint_type"`
}

func (a *API) alerterInfos(ctx context.Context, _ []string) (map[string]info, error) {
	k, err := a.deps.Kinds.Kind("alerter")
	if err != nil {
		return map[string]info{}, nil //nolint:nilerr // an installation without alerters has none
	}
	list, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]info, len(list))
	for _, raw := range list {
		var r schema.Resource[schema.AlerterConfig]
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, err
		}
		out[r.ID] = info{item: alerterItem{r.Config.Enabled, r.Config.Endpoint.Type}}
	}
	return out, nil
}
