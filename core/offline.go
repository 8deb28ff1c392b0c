package core

import "berth/core/resource"

// Offline returns the kinds with nothing stored, for looking at files without a
// core.
func Offline() *resource.Registry {
	g := resource.Offline()
	register(g)
	return g
}
