package schema

import "strings"

// ImageDigests asks an agent which digests the images of its containers have.
var ImageDigests = Query[ImageDigestsReq, ImageDigestsResp]{Name: "image.digests"}

// ImageDigestsReq names images by their ids.
type ImageDigestsReq struct {
	Images []string `json:"images"`
}

// ImageDigestsResp answers by id; images that are gone are absent.
type ImageDigestsResp struct {
	Images map[string]LocalImage `json:"images"`
}

// LocalImage is an image on a server.
type LocalImage struct {
	// Digests are the names with digest under which it was pulled, "nginx@sha256:…";
	// none when it was built there.
	Digests []string `json:"digests"`
	OS      string   `json:"os"`
	Arch    string   `json:"arch"`
	Variant string   `json:"variant,omitempty"`
}

// UpdateState is what the last look for newer images found.
type UpdateState struct {
	CheckedAt int64           `json:"checked_at"` // unix ms
	Services  []ServiceUpdate `json:"services"`
}

// ServiceUpdate is what was found for one service, or for a deployment.
type ServiceUpdate struct {
	Service string `json:"service"`
	Image   string `json:"image"`
	Running string `json:"running,omitempty"` // digest of what runs
	Latest  string `json:"latest,omitempty"`  // digest that the tag has at the registry
	Newer   bool   `json:"newer"`
	Reason  string `json:"reason"` // one sentence
	Failed  bool   `json:"failed,omitempty"`
}

// ImageRef names an image by its digest, as the engine does: name@sha256:…, without
// a tag. It is empty when there is no digest.
func ImageRef(image, digest string) string {
	if image == "" || digest == "" {
		return ""
	}
	name, _, _ := strings.Cut(image, "@")
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name = name[:at] // what is before a slash is a port
	}
	return name + "@" + digest
}

// Newer returns the services with a newer image.
func (u UpdateState) Newer() []string {
	var out []string
	for _, s := range u.Services {
		if s.Newer {
			out = append(out, s.Service)
		}
	}
	return out
}
