package resource

// Settings returns the settings that a resource has once change i is done, of a
// deleted one those it has, as the settings type of its kind. References are ids,
// secrets may be in clear: they are to be looked at, not to be shown or changed.
func (p Plan) Settings(i int) any { return p.steps[i].do.settings() }

// Issue is a mistake in a setting of Changes[i], which a file declares, at its place.
func (p Plan) Issue(i int, setting, text string) Issue {
	from := p.steps[i].from
	if from == nil {
		return Issue{Key: setting, Text: text}
	}
	return from.entry.issue(from.path(setting), text, false)
}
