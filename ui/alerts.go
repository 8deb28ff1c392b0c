package ui

import (
	"net/http"

	"berth/schema"
	"berth/ui/page"
)

// pastAlerts is how many alerts that are over a page lists.
const pastAlerts = 100

func (s *Server) alerts(r *http.Request) (page.View, error) {
	var v page.AlertsView
	list, err := s.Catalog.List(r.Context(), "alerter")
	if err != nil {
		return page.View{}, err
	}
	v.Alerters = len(list)
	for _, a := range s.Alerts.All(r.Context()) {
		if a.Resolved && len(v.Past) == pastAlerts {
			continue
		}
		row := page.AlertRow{Alert: a, Deliveries: s.Alerts.Deliveries(a.ID)}
		if a.Run != "" {
			if run, err := s.History.Run(r.Context(), a.Run); err == nil {
				row.RunNumber = run.Number
			}
		}
		if a.Resolved {
			v.Past = append(v.Past, row)
		} else {
			v.Open = append(v.Open, row)
		}
	}
	return page.Alerts(v), nil
}

func (s *Server) closeAlert(w http.ResponseWriter, r *http.Request) error {
	if err := s.Alerts.Close(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return redirect(w, r, "/alerts")
}

func (s *Server) schedules(r *http.Request) (page.View, error) {
	v := page.SchedulesView{Runs: map[string]uint64{}}
	for _, one := range s.Standing.Schedules(r.Context()) {
		if one.Schedule == "" {
			continue
		}
		v.List = append(v.List, one)
		if one.LastRun == "" {
			continue
		}
		run, err := s.History.Run(r.Context(), one.LastRun)
		if code := schema.CodeOf(err); code == schema.NotFound || code == schema.Denied {
			continue // older than the history reaches
		}
		if err != nil {
			return page.View{}, err
		}
		v.Runs[one.LastRun] = run.Number
	}
	return page.Schedules(v), nil
}
