package ui

import "berth/ui/asset"

// NewWith is New with other assets than those of this build.
func NewWith(d Deps, set *asset.Set) *Server { return newServer(d, set) }
