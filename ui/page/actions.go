package page

import (
	"strings"
	"unicode"
)

// Action is something a user can start on a resource of a kind.
type Action struct {
	Name   string // of the request: "DeployStack"
	Kind   string // of the target
	Param  string // of the request that names the target
	Label  string
	Icon   string
	What   string // what will happen, one sentence; %s is the target
	Danger bool   // the target's name must be typed
	More   bool   // behind the menu
}

// Actions returns what can be started, in the order of the buttons.
func Actions() []Action {
	return []Action{
		{Name: "DeployStack", Kind: "stack", Param: "stack", Label: "Deploy", Icon: "rocket", What: "Bring %s to the newest commit of its branch and up. Services whose configuration did not change keep their containers."},
		{Name: "DeployStackIfChanged", Kind: "stack", Param: "stack", Label: "Deploy if changed", Icon: "git-compare", What: "Compare everything that feeds the deploy of %s with its last success, and deploy only when something differs. The run says which it was, and why.", More: true},
		{Name: "PullStack", Kind: "stack", Param: "stack", Label: "Pull images", Icon: "download", What: "Pull the images of %s. Its containers stay as they are.", More: true},
		{Name: "RestartStack", Kind: "stack", Param: "stack", Label: "Restart", Icon: "rotate-cw", What: "Restart all containers of %s. They are away for a moment; nothing is recreated."},
		{Name: "StartStack", Kind: "stack", Param: "stack", Label: "Start", Icon: "play", What: "Start the containers of %s that are stopped.", More: true},
		{Name: "StopStack", Kind: "stack", Param: "stack", Label: "Stop", Icon: "square", What: "Stop all containers of %s. They stay, with their data, and can be started again."},
		{Name: "PauseStack", Kind: "stack", Param: "stack", Label: "Pause", Icon: "pause", What: "Freeze all processes of %s where they are.", More: true},
		{Name: "UnpauseStack", Kind: "stack", Param: "stack", Label: "Resume", Icon: "play", What: "Let the frozen processes of %s go on.", More: true},
		{Name: "DestroyStack", Kind: "stack", Param: "stack", Label: "Destroy", Icon: "trash-2", What: "Stop and remove all containers and networks of %s. Volumes and files stay. To run again, it must be deployed.", Danger: true, More: true},
		{Name: "PullRepo", Kind: "repo", Param: "repo", Label: "Pull", Icon: "git-pull-request-arrow", What: "Fetch the branch of %s and bring the clone to its newest commit. Files that git does not track are left alone."},
		{Name: "CloneRepo", Kind: "repo", Param: "repo", Label: "Clone", Icon: "copy", What: "Clone %s, and run its commands for a fresh clone.", More: true},
		{Name: "BuildRepo", Kind: "repo", Param: "repo", Label: "Build", Icon: "hammer", What: "Clone %s afresh on its builder and run its commands there.", More: true},
		{Name: "RunProcedure", Kind: "procedure", Param: "procedure", Label: "Run", Icon: "play", What: "Run all stages of %s, one after the other."},
		{Name: "Deploy", Kind: "deployment", Param: "deployment", Label: "Deploy", Icon: "rocket", What: "Pull the image of %s and put a new container in the place of the one before, which comes back when the new one does not start."},
		{Name: "PullDeployment", Kind: "deployment", Param: "deployment", Label: "Pull image", Icon: "download", What: "Pull the image of %s. Its container stays as it is.", More: true},
		{Name: "RestartDeployment", Kind: "deployment", Param: "deployment", Label: "Restart", Icon: "rotate-cw", What: "Restart the container of %s."},
		{Name: "StartDeployment", Kind: "deployment", Param: "deployment", Label: "Start", Icon: "play", What: "Start the container of %s.", More: true},
		{Name: "StopDeployment", Kind: "deployment", Param: "deployment", Label: "Stop", Icon: "square", What: "Stop the container of %s. It stays, with its data."},
		{Name: "PauseDeployment", Kind: "deployment", Param: "deployment", Label: "Pause", Icon: "pause", What: "Freeze the container of %s where it is.", More: true},
		{Name: "UnpauseDeployment", Kind: "deployment", Param: "deployment", Label: "Resume", Icon: "play", What: "Let the frozen container of %s go on.", More: true},
		{Name: "DestroyDeployment", Kind: "deployment", Param: "deployment", Label: "Destroy", Icon: "trash-2", What: "Stop and remove the container of %s. Volumes stay.", Danger: true, More: true},
		{Name: "RunBuild", Kind: "build", Param: "build", Label: "Build", Icon: "hammer", What: "Build %s at the newest commit and push it, as its next version."},
		{Name: "CancelBuild", Kind: "build", Param: "build", Label: "Cancel", Icon: "square", What: "End the builds of %s that go on.", More: true},
		{Name: "RunAction", Kind: "action", Param: "action", Label: "Run", Icon: "play", What: "Run the script of %s with the arguments in its settings."},
		{Name: "CancelAction", Kind: "action", Param: "action", Label: "Cancel", Icon: "square", What: "End the runs of %s that go on.", More: true},
		{Name: "RunSync", Kind: "resource_sync", Param: "sync", Label: "Execute all", Icon: "play", What: "Bring everything to what the files of %s declare now, and deploy what follows. Deletes beyond the limit are not done without a confirmation."},
		{Name: "RefreshResourceSyncPending", Kind: "resource_sync", Param: "sync", Label: "Refresh", Icon: "refresh-cw", What: "Look at the source of %s again and say what is pending. Nothing is changed."},
		{Name: "CommitSync", Kind: "resource_sync", Param: "sync", Label: "Commit", Icon: "git-commit-horizontal", What: "Write what is stored back to the files of %s, as a commit where they are in git."},
		{Name: "TestAlerter", Kind: "alerter", Param: "alerter", Label: "Send a test", Icon: "send", What: "Send a test alert by %s. The run says what the other side answered."},
	}
}

// FindAction returns the action of that name.
func FindAction(name string) (Action, bool) {
	for _, a := range Actions() {
		if a.Name == name {
			return a, true
		}
	}
	return Action{}, false
}

// actionsOf returns the actions of a kind; the menu's or the others.
func actionsOf(kind string, more bool) []Action {
	var out []Action
	for _, a := range Actions() {
		if a.Kind == kind && a.More == more {
			out = append(out, a)
		}
	}
	return out
}

// ActionLabel returns an action's label: "Deploy"; its name for others.
func ActionLabel(name string) string {
	if a, ok := FindAction(name); ok {
		return a.Label
	}
	switch name {
	case "BatchDeployStack":
		return "Deploy stacks"
	case "BatchDeployStackIfChanged":
		return "Deploy changed stacks"
	case "Sleep":
		return "Wait"
	}
	return spaced(name)
}

// spaced is a request's name as words: "Batch run procedure".
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Confirm is the question before an action.
type Confirm struct {
	Title  string
	Text   string
	Facts  []Fact
	Post   string // address
	Button string
	Danger bool
	Typed  string // what must be typed to go on
	Back   string
}

// Fact is a labelled value.
type Fact struct{ Label, Value string }
