package schema

import "unicode/utf8"

// maxVariable is how many characters a variable's value may have.
const maxVariable = 10000

// VariableConfig is a value that texts of other resources refer to as [[NAME]].
// In files its keys stand beside the name, without a config table.
type VariableConfig struct {
	Value    string `json:"value" secret:"is_secret" widget:"area" doc:"The value, as it is."`
	IsSecret bool   `json:"is_secret" doc:"Sealed at rest, masked when shown, replaced in output."`
}

// DefaultVariable returns the settings of a variable that declares none.
func DefaultVariable() VariableConfig { return VariableConfig{} }

// Check refuses values that are too long.
func (c VariableConfig) Check() Report {
	var r Report
	if n := utf8.RuneCountInString(c.Value); n > maxVariable {
		r.fail("value", "has %d characters, at most %d are allowed", n, maxVariable)
	}
	return r
}
