package periphery

import (
	"path/filepath"
	"slices"

	"berth/periphery/secrets"
	"berth/schema"
)

// ownKey is the age identity that an agent makes for itself where the host has none.
const ownKey = "age.key"

// withOwnKey adds it to the files that may hold the host's identity, last.
func withOwnKey(files []string, data string) []string {
	if len(files) == 0 {
		files = defaultAgeKeys()
	}
	return append(slices.Clone(files), filepath.Join(data, ownKey))
}

// ensureKeys makes an age identity where the host has none. One that is there and
// may not be used is never replaced: it is said what is wrong with it.
func (a *Agent) ensureKeys() {
	keys, err := a.keys()
	if err == nil && len(keys.Recipients()) == 0 {
		if keys, err = secrets.Create(a.path(ownKey)); err == nil {
			a.log.Info("made an age identity for this server", "file", keys.File(), "recipient", keys.Recipients()[0])
		}
	}
	if err != nil { // said again by the deploy that needs it
		a.log.Warn("age identity of this host", "err", schema.SafeText(err))
	}
}

// Recipients returns the age recipients for which this server can decrypt. Code
// NotFound when it has no identity, else as secrets.Open.
func Recipients(cfg Config) ([]string, error) {
	keys, err := secrets.Find(withOwnKey(cfg.AgeKeys, cfg.Data)...)
	if err != nil {
		return nil, err
	}
	if list := keys.Recipients(); len(list) > 0 {
		return list, nil
	}
	return nil, schema.Errorf(schema.NotFound, "this server has no age identity yet: its agent makes one when it starts; if it uses another data folder, name that with --data")
}
