package schema

// Seen is where a source was when it was looked at last.
type Seen struct {
	CommitInfo
	At int64 `json:"at"` // unix ms
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
