package api

import (
	"path"

	"berth/schema"
)

// fileContents is a file, or in a list of errors what is wrong with it.
type fileContents struct {
	Path     string `json:"path"`
	Contents string `json:"contents"`
}

// remoteFile is a file of a stack's sources with what a change of it needs.
type remoteFile struct {
	fileContents
	Services []string `json:"services"` // that use it; none is all
	Requires string   `json:"requires" enum:"Redeploy,Restart,None"`
}

// showSources adds what was seen in a stack's sources when somebody looked: null
// without that, and for a stack that holds its file itself. Files that are not in the
// settings any more are not shown.
func (i *stackInfo) showSources(v schema.StackView) {
	c := v.Resource.Config
	i.showDeployed(v)
	if v.Seen == nil || c.Source() == schema.SourceInline {
		return
	}
	i.RemoteContents, i.RemoteErrors = []remoteFile{}, []fileContents{}
	for _, f := range filesOf(c) {
		switch have := v.Seen.File(f.Path); {
		case have == nil:
		case have.Problem != "":
			i.RemoteErrors = append(i.RemoteErrors, fileContents{f.Path, have.Problem})
		default:
			f.Contents = have.Text
			i.RemoteContents = append(i.RemoteContents, f)
		}
	}
	i.MissingFiles = missing(v)
}

// filesOf are the files that a stack's settings name, without their contents.
func filesOf(c schema.StackConfig) []remoteFile {
	var out []remoteFile
	for _, p := range c.Compose() {
		out = append(out, remoteFile{fileContents{Path: p}, []string{}, schema.RequiresRedeploy})
	}
	for _, f := range c.ConfigFiles {
		out = append(out, remoteFile{fileContents{Path: f.Path}, append([]string{}, f.Services...), f.Requires})
	}
	return out
}

// missing are the files of a stack that were not there when somebody looked.
func missing(v schema.StackView) []string {
	out := []string{}
	if v.Resource.Config.Source() == schema.SourceInline {
		return out
	}
	for _, f := range filesOf(v.Resource.Config) {
		if have := v.Seen.File(f.Path); have != nil && have.Missing {
			out = append(out, f.Path)
		}
	}
	return out
}

// showDeployed adds the files that were deployed: those of the commit, if somebody
// looked at it, or the stack's own, if it was not changed since.
func (i *stackInfo) showDeployed(v schema.StackView) {
	c, d := v.Resource.Config, v.Deployed
	if d == nil {
		return
	}
	if c.Source() == schema.SourceInline {
		if d.Commit == "" && v.Resource.Updated <= d.At {
			i.DeployedContents = []fileContents{{c.Compose()[0], string(c.FileContents)}}
		}
		return
	}
	files, known := v.Seen.FilesAt(d.Commit)
	if !known {
		return
	}
	i.DeployedContents = []fileContents{}
	for _, f := range filesOf(c) {
		if have := schema.FileOf(files, f.Path); have != nil && have.Problem == "" {
			i.DeployedContents = append(i.DeployedContents, fileContents{f.Path, have.Text})
		}
	}
}

// showSources adds what was seen of a build's Dockerfile when somebody looked.
func (i *buildInfo) showSources(v schema.BuildView) {
	c := v.Resource.Config
	switch c.Source() {
	case schema.SourceHost:
		return
	case schema.SourceInline:
		if v.Built.BuiltAt > 0 && v.Built.Commit == "" && v.Resource.Updated <= v.Built.BuiltAt {
			i.BuiltContents = orNull(c.Dockerfile)
		}
		return
	case schema.SourceLinked, schema.SourceRepo:
	}
	file := c.DockerfilePath
	if file == "" {
		file = "Dockerfile"
	}
	i.RemotePath = orNull(path.Join(c.BuildPath, file))
	if have := v.Seen.File(file); have != nil && have.Problem != "" {
		i.RemoteError = &have.Problem
	} else if have != nil {
		i.RemoteContents = &have.Text
	}
	files, _ := v.Seen.FilesAt(v.Built.Commit)
	if have := schema.FileOf(files, file); have != nil && have.Problem == "" {
		i.BuiltContents = &have.Text
	}
}
