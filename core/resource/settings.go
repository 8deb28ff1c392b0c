package resource

// Settings returns the settings that a resource has once change i is done, of a
// deleted one those it has, as the settings type of its kind. References are ids,
// secrets may be in clear: they are to be looked at, not to be shown or changed.
func (p Plan) Settings(i int) any { return p.steps[i].do.settings() }
