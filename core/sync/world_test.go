package sync_test

import "berth/git/gittest"

func change(branch string, files map[string]string) gittest.Change {
	return gittest.Change{Branch: branch, Base: "main", Files: files}
}

func gone(paths ...string) gittest.Change { return gittest.Change{Delete: paths} }
