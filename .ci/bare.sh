#!/bin/sh
# Gives a bare Debian machine what tests and demo need, from Debian's own archive.
#
#   .ci/bare.sh [--dry-run] engine chromium node gcc curl    install what is missing
#   .ci/bare.sh start-engine                                 install, start and await a Docker engine
#
# May be called any number of times: what is there already is left alone.
set -eu

say() { echo "bare.sh: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

dry=
socket=/var/run/docker.sock

# need_root ends the script with the command to run when we may not install.
need_root() {
	[ "$(id -u)" = 0 ] && return 0
	die "installing needs root. Run: sudo $0 $*"
}

updated=
apt_update() {
	[ -n "$updated" ] || apt-get update -q >/dev/null || die "apt-get update ended with an error: check the machine's package sources and its network"
	updated=1
}

# apt_install installs packages quietly, without recommendations.
apt_install() {
	[ -z "$dry" ] || { say "would install: $*"; return 0; }
	need_root "$goals"
	apt_update
	say "installing $*"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" >/dev/null
}

# debian_source prints the deb822 file that holds this machine's own Debian suite.
debian_source() {
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		grep -q "^Suites:.*\b$1\b" "$f" && { echo "$f"; return; }
	done
}

# trixie_source prints a deb822 source for trixie that uses the very mirror, keys
# and options with which the machine gets its own release.
trixie_source() {
	suite=$1
	file=$(debian_source "$suite")
	if [ -n "$file" ]; then
		# The first stanza that names the suite itself, other suites dropped.
		awk -v suite="$suite" '
			BEGIN { RS = ""; FS = "\n" }
			$0 ~ ("Suites:[^\n]*" suite "([ \n]|$)") {
				for (i = 1; i <= NF; i++) {
					if ($i ~ /^#/) continue
					if ($i ~ /^Suites:/) $i = "Suites: trixie"
					if ($i ~ /^Components:/) $i = "Components: main"
					print $i
				}
				exit
			}' "$file"
		return
	fi
	# One-line style: deb [options] URI suite components
	sed -n "s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\)  *$suite  *.*/\1\2/p" \
		/etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		head -n 1 | while read -r line; do
			uri=${line##* }
			signed=$(printf %s "$line" | sed -n 's/.*signed-by=\([^] ]*\).*/\1/p')
			printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\n' "$uri"
			[ -z "$signed" ] || printf 'Signed-By: %s\n' "$signed"
		done
}

# pin_trixie makes trixie's engine, and nothing else of it, a candidate. runc and
# tini stay: trixie's need a newer libc.
pin_trixie() {
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ "$suite" = bookworm ] || return 0
	[ -e /etc/apt/sources.list.d/trixie.sources ] && return 0
	source=$(trixie_source "$suite")
	[ -n "$source" ] || { say "no Debian source found to derive trixie's from: taking $suite's engine"; return 0; }
	cat >/etc/apt/preferences.d/trixie-docker <<-E
		Package: *
		Pin: release n=trixie
		Pin-Priority: -10

		Package: docker.io docker-cli docker-compose docker-buildx containerd
		Pin: release n=trixie
		Pin-Priority: 990
	E
	printf '%s\n' "$source" >/etc/apt/sources.list.d/trixie.sources
	# Only this source: others that are broken are not its fault.
	if ! apt-get update -q -o APT::Update::Error-Mode=any -o APT::Get::List-Cleanup=0 -o Dir::Etc::sourceparts=- \
		-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/trixie.sources >/dev/null 2>&1; then
		say "trixie is out of reach: taking $suite's engine"
		rm -f /etc/apt/sources.list.d/trixie.sources /etc/apt/preferences.d/trixie-docker
	fi
}

engine() {
	if ! have dockerd; then
		if [ -z "$dry" ]; then
			need_root "$goals"
			pin_trixie
		fi
		apt_install docker.io containerd
	fi
	missing=
	have iptables || missing="$missing iptables"
	have ip || missing="$missing iproute2"
	have git || missing="$missing git"
	have nsenter || missing="$missing util-linux"
	# shellcheck disable=SC2086 # a list of words
	[ -z "$missing" ] || apt_install $missing
}

# Functions are not named like what they install: command -v would find them.
chromium_() {
	have chromium || have chromium-browser || have google-chrome || apt_install chromium fonts-dejavu-core
}

node() {
	have npm || apt_install nodejs npm
}

curl_() {
	have curl || apt_install curl ca-certificates
}

gcc_() {
	have gcc || apt_install gcc libc6-dev
}

answers() {
	[ -S "$socket" ] || return 1
	if have curl; then
		curl -fsS --max-time 5 --unix-socket "$socket" http://docker/_ping >/dev/null 2>&1
	else
		pid=$(cat /var/run/docker.pid 2>/dev/null) && kill -0 "$pid" 2>/dev/null
	fi
}

# start_engine starts dockerd unless one answers, and waits until it does.
start_engine() {
	answers && return 0
	engine
	[ -z "$dry" ] || { say "would start dockerd"; return 0; }
	need_root start-engine
	log=/var/log/dockerd.log
	# Files of an engine that did not end by itself keep the next one from starting.
	pid=$(cat /var/run/docker.pid 2>/dev/null || true)
	if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then rm -f /var/run/docker.pid; fi
	say "starting dockerd, log in $log"
	setsid dockerd >>"$log" 2>&1 </dev/null 9>&- &
	daemon=$!
	for _ in $(seq 300); do
		answers && return 0
		kill -0 "$daemon" 2>/dev/null || { tail -n 5 "$log" >&2; die "dockerd ended: see $log"; }
		sleep 0.1
	done
	tail -n 5 "$log" >&2
	die "dockerd does not answer on $socket after 30 s: see $log"
}

[ "${1:-}" = --dry-run ] && { dry=1; shift; }
goals="$*"
[ $# -gt 0 ] || die "usage: $0 [--dry-run] [engine] [chromium] [node] [gcc] [curl] [start-engine]"
have apt-get || die "this machine has no apt-get: install a Docker engine (docker.io), chromium, nodejs and gcc by hand"
# One at a time: test programs that run side by side all ask for the same.
if [ "$(id -u)" = 0 ] && have flock; then
	exec 9>/run/lock/berth-bare.lock
	flock 9
fi
for goal in "$@"; do
	case $goal in
	engine | node) "$goal" ;;
	chromium) chromium_ ;;
	gcc) gcc_ ;;
	curl) curl_ ;;
	start-engine) start_engine ;;
	*) die "unknown goal \"$goal\": engine, chromium, node, gcc, curl, start-engine" ;;
	esac
done
