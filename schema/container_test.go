package schema

import (
	"strings"
	"testing"
)

func TestOwnContainer(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	inside := "760 745 8:1 /var/lib/docker/containers/" + id + "/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n"
	onHost := "812 29 0:52 / /var/lib/docker/containers/" + id + "/mounts/shm rw,nosuid - tmpfs shm rw\n"
	if got := OwnContainer(inside); got != id {
		t.Errorf("inside: %q", got)
	}
	if got := OwnContainer(onHost); got != "" {
		t.Errorf("on the host, where containers' mounts are seen too: %q", got)
	}
}
