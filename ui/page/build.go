package page

import "berth/schema"

// BuildView is a build with what it made.
type BuildView struct {
	ThingView
	Build schema.BuildView
	Next  schema.Version
}

// Build is the page of a build.
func Build(v BuildView) View { return thing(v.ThingView, Section{"build-main", buildMain(v)}) }

// pastMax is how many versions a page lists.
const pastMax = 30

func (v BuildView) past() []schema.MadeVersion {
	list := v.Build.Built.Past
	return list[:min(len(list), pastMax)]
}

func buildPlace(v BuildView) string {
	if v.Build.Built.Pushed {
		return "pushed"
	}
	return "on the builder only"
}
