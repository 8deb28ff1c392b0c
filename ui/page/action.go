package page

import (
	"net/url"

	"berth/schema"
)

// ActionPageView is an action with its script.
type ActionPageView struct {
	ThingView
	Action   schema.ActionConfig
	Schedule *schema.ScheduleView
}

// ActionPage is the page of an action.
func ActionPage(v ActionPageView) View {
	return thing(v.ThingView, Section{"action-main", actionMain(v)})
}

func actionPost(v ActionPageView) string { return "/actions/" + url.PathEscape(v.Name) + "/run" }

// AlerterPageView is an alerter with what it was given to send.
type AlerterPageView struct {
	ThingView
	Types []string
	Sent  []SentAlert
}

// SentAlert is an alert on its way by an alerter.
type SentAlert struct {
	Alert    schema.Alert
	Delivery schema.AlertDelivery
}

// Alerter is the page of an alerter.
func Alerter(v AlerterPageView) View {
	return thing(v.ThingView, Section{"alerter-main", alerterMain(v)})
}
