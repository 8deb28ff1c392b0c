package profile

import (
	"errors"
	"io/fs"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"berth/schema"
)

// FromEnv is what the environment says: our names first, then Komodo's.
func FromEnv(env func(string) string) Account {
	first := func(names ...string) string {
		for _, n := range names {
			if v := env(n); v != "" {
				return v
			}
		}
		return ""
	}
	return Account{
		Host:          first("BERTH_HOST", "KOMODO_CLI_HOST", "KOMODO_ADDRESS", "KOMODO_HOST"),
		Key:           first("BERTH_KEY", "KOMODO_CLI_KEY", "KOMODO_API_KEY"),
		Secret:        first("BERTH_SECRET", "KOMODO_CLI_SECRET", "KOMODO_API_SECRET"),
		Pin:           first("BERTH_PIN"),
		Borders:       first("KOMODO_CLI_TABLE_BORDERS"),
		BackupsFolder: first("KOMODO_CLI_BACKUPS_FOLDER"),
		MaxBackups:    first("KOMODO_CLI_MAX_BACKUPS"),
	}
}

// DotEnv reads the .env of a folder, as variables beside those of env; a folder
// without one has none.
func DotEnv(path string, env func(string) string) (func(string) string, error) {
	none := func(string) string { return "" }
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, schema.Errorf(schema.Invalid, "read variables: %v", err)
	}
	defer func() { _ = f.Close() }()
	vars, err := dotenv.ParseWithLookup(f, func(name string) (string, bool) { v := env(name); return v, v != "" })
	if err != nil {
		return none, schema.Errorf(schema.Invalid, "%s: %v", path, err)
	}
	return func(name string) string { return vars[name] }, nil
}
