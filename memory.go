package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settled is when a process that serves has done what only a start needs.
const settled = 10 * time.Second

// letGo gives back what only the start needed: garbage, and the pages of the
// binary itself. Hundreds of packages initialise themselves all over it, and the
// kernel maps a neighbourhood around every page that is touched; what is still
// used comes back from the page cache by itself.
func letGo() {
	debug.FreeOSMemory()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line) // from-to perms offset device inode path
		if len(f) < 6 || f[5] != self || f[1] != "r-xp" && f[1] != "r--p" {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		a, err1 := strconv.ParseUint(from, 16, 64)
		z, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil {
			return
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(a), uintptr(z-a), unix.MADV_DONTNEED) // only a hint
	}
}
