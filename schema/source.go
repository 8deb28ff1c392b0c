package schema

import "unicode/utf8"

// Seen is where a source was when it was looked at last, and what was in it.
type Seen struct {
	CommitInfo
	At int64 `json:"at"` // unix ms; 0 when the source is that of a linked repo
	// Files are those of a stack or build, as they were then, at commit FilesOf; that
	// is empty for files on a server.
	Files   []SeenFile `json:"files,omitempty"`
	FilesOf string     `json:"files_of,omitempty"`
	// Before are those of the commit that was deployed, or built, when that was another.
	Before   []SeenFile `json:"before,omitempty"`
	BeforeOf string     `json:"before_of,omitempty"`
	// Images are the names with digest of the images that ran, by the images' ids.
	Images map[string]string `json:"images,omitempty"`
}

// FilesAt returns the files of a commit, if they were looked at.
func (s *Seen) FilesAt(commit string) ([]SeenFile, bool) {
	switch {
	case s == nil || commit == "":
		return nil, false
	case s.FilesOf == commit:
		return s.Files, true
	case s.BeforeOf == commit:
		return s.Before, true
	}
	return nil, false
}

// File returns the file of that path, or nil.
func (s *Seen) File(path string) *SeenFile {
	if s == nil {
		return nil
	}
	return FileOf(s.Files, path)
}

// FileOf returns the file of that path, or nil.
func FileOf(files []SeenFile, path string) *SeenFile {
	for i := range files {
		if files[i].Path == path {
			return &files[i]
		}
	}
	return nil
}

// SeenFile is a file of a source, or why it could not be read.
type SeenFile struct {
	Path    string `json:"path"` // relative to the run directory or build path
	Text    string `json:"text,omitempty"`
	Missing bool   `json:"missing,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Limits of what is kept of files that were seen.
const (
	MaxSeenFile  = 64 << 10 // bytes of one, and of all of one look: two looks make one message of the bus
	MaxSeenFiles = 100
)

// BoundSeen leaves out what is too much to keep, and says so in the file's problem.
func BoundSeen(files []SeenFile) []SeenFile {
	files = files[:min(len(files), MaxSeenFiles)]
	total := 0
	for i := range files {
		f := &files[i]
		switch {
		case len(f.Text) > MaxSeenFile:
			f.Text, f.Problem = "", "it is larger than 64 KiB and not shown"
		case total+len(f.Text) > MaxSeenFile:
			f.Text, f.Problem = "", "the files together are larger than 64 KiB: this one is not shown"
		case !utf8.ValidString(f.Text):
			f.Text, f.Problem = "", "it is no text and not shown"
		}
		total += len(f.Text)
	}
	return files
}

// FileRead reads files of a stack's sources that lie on the server; as much as
// BoundSeen leaves. Folders are left out.
var FileRead = Query[FileReadReq, FileReadResp]{Name: "file.read"}

// FileReadReq names files by the stack, its run directory and the paths in that.
type FileReadReq struct {
	Stack string   `json:"stack"` // name
	Dir   string   `json:"dir"`   // run_directory
	Files []string `json:"files"`
}

// FileReadResp has each of the files, read or with its problem.
type FileReadResp struct {
	Files []SeenFile `json:"files"`
}

// FileWrite writes one file of a stack's sources that lie on the server.
var FileWrite = Query[FileWriteReq, struct{}]{Name: "file.write"}

// FileWriteReq names a file by the stack, its run directory and the path in that.
type FileWriteReq struct {
	Stack string `json:"stack"` // name
	Dir   string `json:"dir"`   // run_directory
	File  string `json:"file"`
	Text  string `json:"text"`
}

// ContainerRename gives a container another name; Conflict when that is taken.
var ContainerRename = Query[ContainerRenameReq, struct{}]{Name: "container.rename"}

// ContainerRenameReq is the name a container has and the one it is to have.
type ContainerRenameReq struct {
	From string `json:"from"`
	To   string `json:"to"`
}
