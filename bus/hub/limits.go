package hub

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// wantFiles is what 10,000 agents behind websockets and TLS need.
const wantFiles = 65536

// raiseFiles raises the limit of open files as far as allowed. At the limit the
// server stops accepting connections, from everybody.
func raiseFiles(log *slog.Logger) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		log.Warn("read the limit of open files", "err", err)
		return
	}
	if lim.Cur < lim.Max {
		lim.Cur = lim.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
			log.Warn("raise the limit of open files", "err", err)
		}
	}
	if lim.Cur < wantFiles {
		log.Warn("few open files are allowed: each agent takes three; set LimitNOFILE=65536 for large fleets", "limit", lim.Cur)
	}
}
