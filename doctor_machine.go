package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"berth/periphery/secrets"
	"berth/schema"
)

func checkEngine(ctx context.Context, d *doctor) finding {
	info := d.engine(ctx)
	if info.Error != "" {
		return fail("start Docker (systemctl start docker); the agent needs the right to use its socket: run it as root or in the group docker, or give --engine", "%s", info.Error)
	}
	return fine("Docker %s", info.Version)
}

// The oldest API of the engine that Compose as a library is made for.
const (
	apiMajor = 1
	apiMinor = 44
)

func checkAPI(ctx context.Context, d *doctor) finding {
	info := d.engine(ctx)
	if info.Error != "" {
		return fail("see engine", "not known: the engine does not answer")
	}
	major, minor, _ := strings.Cut(info.API, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	switch {
	case err1 != nil || err2 != nil:
		return warn("ask the engine: docker version", "the engine says API %q", info.API)
	case a < apiMajor || a == apiMajor && b < apiMinor:
		return fail("update Docker to 25 or newer", "API %s is older than %d.%d", info.API, apiMajor, apiMinor)
	}
	return fine("API %s", info.API)
}

func checkCompose(context.Context, *doctor) finding {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.HasPrefix(m.Path, "github.com/docker/compose/") {
				return fine("Compose %s is in the binary; no plugin is used", m.Version)
			}
		}
	}
	return fine("Compose is in the binary; no plugin is used")
}

// checkAppArmor finds what keeps Docker from starting containers in an unprivileged
// LXC container: it sees AppArmor, and may not read its profiles.
func checkAppArmor(_ context.Context, d *doctor) finding {
	at := func(path string) string { return filepath.Join(d.root, path) }
	kind, _ := os.ReadFile(at("run/systemd/container"))
	env, _ := os.ReadFile(at("proc/1/environ"))
	lxc := strings.HasPrefix(string(kind), "lxc") || strings.Contains("\x00"+string(env), "\x00container=lxc")
	if !lxc {
		return fine("not in an LXC container")
	}
	profiles := at("sys/kernel/security/apparmor/profiles")
	f, err := os.Open(profiles)
	if err == nil {
		_, err = f.Read(make([]byte, 1))
		_ = f.Close()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fine("in an LXC container without AppArmor in sight")
	case err != nil && !errors.Is(err, io.EOF):
		return fail("hide AppArmor before Docker starts: mount -t tmpfs tmpfs /sys/kernel/security (in a unit Before=docker.service), or lxc.apparmor.profile: unconfined for the container", "in an LXC container that sees AppArmor and may not read %s (%v): Docker cannot start containers", profiles, err)
	}
	return fine("in an LXC container, AppArmor can be read")
}

func checkAgeKey(_ context.Context, d *doctor) finding {
	files := d.agent.AgeKeys
	if len(files) == 0 {
		files = []string{"/etc/berth/age.key", "/etc/sops/age/keys.txt"}
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(d.root, f)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		path := filepath.Join(d.root, f)
		if _, err := secrets.Open(path); err != nil {
			return fail("as root: chown root:root "+f+" && chmod 600 "+f+"; it must hold an AGE-SECRET-KEY-1…", "%s", schema.SafeText(err))
		}
		return fine("%s can be used", f)
	}
	return warn("without one the agent makes its own: berth periphery recipient prints for whom to encrypt", "none of %s is there", strings.Join(files, ", "))
}

func checkData(_ context.Context, d *doctor) finding {
	dir := d.core.Data
	for dir != "/" { // what is missing is made
		if st, err := os.Stat(dir); err == nil {
			if !st.IsDir() {
				return fail("choose another --data, or move the file away", "%s is a file", dir)
			}
			break
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".berth-doctor-*")
	if err != nil {
		return fail("give the user that runs Berth the folder: chown, or another --data", "%s cannot be written: %v", dir, errors.Unwrap(err))
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	return fine("%s can be written", dir)
}

const (
	gib      = 1 << 30
	lowDisk  = 5 * gib
	fullDisk = gib / 2
)

func checkDisk(_ context.Context, d *doctor) finding {
	dir := d.core.Data
	free, all, err := d.statfs(dir)
	for err != nil && dir != "/" {
		dir = filepath.Dir(dir)
		free, all, err = d.statfs(dir)
	}
	do := "make room: docker system df shows what images and volumes take, berth execute prune-images SERVER removes what nothing needs"
	switch {
	case err != nil:
		return warn("look at it: df -h "+dir, "%s: %v", dir, err)
	case free < fullDisk:
		return fail(do, "%s free of %s at %s: core and agents stop writing", size(free), size(all), dir)
	case free < lowDisk || free < all/20:
		return warn(do, "%s free of %s at %s", size(free), size(all), dir)
	}
	return fine("%s free of %s at %s", size(free), size(all), dir)
}

func size(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/gib) }
