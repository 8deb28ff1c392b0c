package schema

import (
	"encoding/json"
)

// AlertWire is an alert as Komodo's clients read it.
type AlertWire struct {
	ID       alertID        `json:"_id"`
	At       int64          `json:"ts"`
	Resolved bool           `json:"resolved"`
	Level    Severity       `json:"level"`
	Target   ResourceTarget `json:"target"`
	Data     alertData      `json:"data"`
	Ended    *int64         `json:"resolved_ts"`
	// Message is Berth's own: one sentence for people.
	Message string `json:"message"`
}

type alertID struct {
	OID string `json:"$oid"`
}

type alertData struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// Wire returns the alert as Komodo's clients read it.
func (al Alert) Wire() AlertWire {
	w := AlertWire{
		ID: alertID{al.ID}, At: al.At, Resolved: al.Resolved, Level: al.Level, Message: al.Message,
		Target: ResourceTarget{Type: TypeOf(al.Target.Kind), ID: al.Target.ID},
		Data:   alertData{Type: al.Type, Data: al.Data},
	}
	if w.Target.Type == "" {
		w.Target = ResourceTarget{Type: "System", ID: "system"}
	}
	if al.Resolved {
		w.Ended = &al.ResolvedAt
	}
	switch {
	case al.Type == AlertRunFailed: // a type that they do not know
		w.Data.Type = AlertCustom
		w.Data.Data = alertFields(map[string]any{"message": al.Message, "details": ""})
	case len(al.Data) == 0:
		w.Data.Data = alertFields(map[string]any{"id": al.Target.ID, "name": al.Target.Name})
	}
	return w
}

func alertFields(v map[string]any) json.RawMessage {
	b, _ := json.Marshal(v) // plain values
	return b
}
