package periphery

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth/bus"
	"berth/periphery/compose"
	"berth/periphery/journal"
	"berth/schema"
)

// intent is what a deploy is about to do when all is prepared: it is on disk before
// the first container is touched, so that after a crash the engine can be compared
// with it. It holds digests and names, no secrets.
type intent struct {
	Goal compose.Goal       `json:"goal"`
	Resp schema.StackUpResp `json:"resp"` // so far
	Base map[string]string  `json:"base"` // inputs of the stack as a whole
}

func (a *Agent) spoolFile(command string) string {
	return filepath.Join(a.cfg.Data, "spool", folder(command)+".json")
}

// spool keeps what a command is about to do until its result is journaled.
func (a *Agent) spool(command string, what intent) error {
	data, err := json.Marshal(what)
	if err == nil {
		err = bus.WritePrivate(a.spoolFile(command), data)
	}
	if err != nil {
		return schema.Wrap(schema.Failed, err, "note what the deploy is about to do in %s: check the disk", filepath.Join(a.cfg.Data, "spool"))
	}
	return nil
}

// spooled returns what a command was about to do; nil if it had not come so far.
func (a *Agent) spooled(command string) (*intent, error) {
	data, err := os.ReadFile(a.spoolFile(command))
	if os.IsNotExist(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	var what intent
	if err := json.Unmarshal(data, &what); err != nil {
		return nil, nil //nolint:nilnil,nilerr // written half: it had not come so far
	}
	return &what, nil
}

func (a *Agent) unspool(command string) {
	_ = os.Remove(a.spoolFile(command)) // most have none; cleanSpool takes what is left
}

// cleanSpool removes what belongs to no command that is still open.
func (a *Agent) cleanSpool(open []journal.Entry) {
	files, err := os.ReadDir(filepath.Join(a.cfg.Data, "spool"))
	if err != nil {
		a.log.Warn("clean spool", "err", err)
		return
	}
	for _, f := range files {
		id, _ := strings.CutSuffix(f.Name(), ".json")
		if !slices.ContainsFunc(open, func(e journal.Entry) bool { return e.ID == id }) {
			_ = os.Remove(filepath.Join(a.cfg.Data, "spool", f.Name())) // tried again at the next start
		}
	}
}
