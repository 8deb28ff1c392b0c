package sync

import (
	"fmt"
	"strings"

	"berth/schema"
)

// guard says why the deletes of a plan need a confirmation; empty when they do not.
func (s *Syncer) guard(r schema.Resource[schema.SyncConfig], p Planned) (string, error) {
	var gone, here []string
	for _, c := range p.Changes {
		if c.Op == "delete" {
			gone = append(gone, c.Kind+" "+c.Name)
			if _, online := s.joined(c.Kind, c.ID); online {
				here = append(here, c.Name)
			}
		}
	}
	if len(gone) == 0 {
		return "", nil
	}
	limit, err := r.Config.DeleteLimit(p.resources.InScope())
	if err != nil {
		return "", err
	}
	var why string
	if st, ok := s.state(r.ID); ok && st.Last != nil {
		why = otherSource(st.Last.Source, p.Source)
	}
	if why == "" && len(here) > 0 {
		why = fmt.Sprintf("the agent of %s is connected and would be shut out, until it joins again: declare the server (with config.enabled = true) to keep it", some(here, 10))
	}
	if why == "" && len(gone) > limit {
		why = fmt.Sprintf("that is more than max_delete allows (%d of the %d that are in scope)", limit, p.resources.InScope())
	}
	if why == "" {
		return "", nil
	}
	return fmt.Sprintf("%d would be deleted (%s), and %s: look whether that is meant; to do it, run the sync with confirm_deletes = true",
		len(gone), some(gone, 10), why), nil
}

// some lists the first of many names.
func some(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
}

// otherSource says in what a source differs from that of the last good run, so
// that what it lacks may be lacking by mistake.
func otherSource(was, is schema.SyncSource) string {
	switch {
	case was.Kind == "" || was.Kind == is.Kind && was.Kind != "git" && was.URL == is.URL:
		return ""
	case was.Kind != is.Kind:
		return fmt.Sprintf("the source is another kind than that of the last good run (%s, was %s)", is.Kind, was.Kind)
	case was.Kind == "git" && was.Root != is.Root && identity(was.URL) != identity(is.URL):
		return fmt.Sprintf("the source is another repository than that of the last good run (%s, was %s)", is.URL, was.URL)
	case was.Kind == "git" && was.Root != is.Root:
		return fmt.Sprintf("the history of %s is another one than at the last good run: it was replaced by a push", is.URL)
	case was.Kind == "git" && was.Branch != is.Branch:
		return fmt.Sprintf("the source is another branch than that of the last good run (%s, was %s)", is.Branch, was.Branch)
	case was.Kind == "host" && was.URL != is.URL:
		return fmt.Sprintf("the source is another folder than that of the last good run (%s, was %s)", is.URL, was.URL)
	}
	return ""
}
