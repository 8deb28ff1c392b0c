package single_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/periphery/single"
	"berth/schema"
)

func translated(t *testing.T, s single.Settings) single.Spec {
	t.Helper()
	s.Name, s.Image = "web", "app:1"
	spec, err := single.Translate(s)
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	return spec
}

// as is a value as JSON, which is how it goes to the engine.
func as(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEnvironmentIsUnquotedNotExpanded(t *testing.T) {
	spec := translated(t, single.Settings{
		Environment: "A=1\nB = two words # note\n- C: \"quoted  $HOME\"\nD='single $X `id`'\nE=pa\\$s\nexport F=6\nG={\"a\":\"b\"}\nA=last\nURL=http://h:1/?q=2\nH=\"a \\\"b\\\"\"\nI=C:\\dir",
		ExtraArgs:   []string{"-e J=10", "--env=A=flag", `--env "K=two words"`},
	})
	want := []string{
		"B=two words", "C=quoted  $HOME", "D=single $X `id`", "E=pa$s", "F=6", `G={"a":"b"}`, "URL=http://h:1/?q=2", `H=a "b"`, `I=C:\dir`,
		"J=10", "A=flag", "K=two words",
	}
	if diff := cmp.Diff(want, spec.Options.Config.Env); diff != "" {
		t.Error(diff)
	}
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   single.Settings
		want []string // pieces of the request as JSON
	}{
		{"ports", single.Settings{Ports: "8080:80\n127.0.0.1:53:53/udp\n9000-9001: 9000-9001"}, []string{
			`"80/tcp":[{"HostIp":"","HostPort":"8080"}]`, `"53/udp":[{"HostIp":"127.0.0.1","HostPort":"53"}]`, `"9001/tcp":[{"HostIp":"","HostPort":"9001"}]`,
		}},
		{"published by flags", single.Settings{ExtraArgs: []string{"-p 1:2", "-p3:4", "--publish published=5,target=6,protocol=udp", "--expose 7-8", "-P"}}, []string{
			`"2/tcp":[{"HostIp":"","HostPort":"1"}]`, `"4/tcp":`, `"6/udp":[{"HostIp":"","HostPort":"5"}]`, `"8/tcp":{}`, `"PublishAllPorts":true`,
		}},
		{"volumes", single.Settings{Volumes: "/etc/x: /x:ro\ndata:/data", ExtraArgs: []string{"-v /anonymous", "--tmpfs /tmp:size=1m", "--mount type=volume,source=v,target=/v", "--volumes-from other"}}, []string{
			`"Binds":["/etc/x:/x:ro","data:/data"]`, `"/anonymous":{}`, `"/tmp":"size=1m"`, `"Type":"volume","Source":"v","Target":"/v"`, `"VolumesFrom":["other"]`,
		}},
		{"labels", single.Settings{Labels: "a.b: \"x y\"\nc=$d", ExtraArgs: []string{"-l e=f"}}, []string{`"a.b":"x y","c":"$d","e":"f"`}},
		{"command", single.Settings{Command: "sh -c 'echo $HOME && sleep 1' \"a b\" \\\n  --flag=x", ExtraArgs: []string{"--entrypoint /init -w /srv -u 1000:1000"}}, []string{
			`"Cmd":["sh","-c","echo $HOME \u0026\u0026 sleep 1","a b","--flag=x"]`, `"Entrypoint":["/init"]`, `"WorkingDir":"/srv"`, `"User":"1000:1000"`,
		}},
		{"restart", single.Settings{Restart: "on-failure"}, []string{`"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":10}`}},
		{"restart by flag", single.Settings{Restart: "no", ExtraArgs: []string{"--restart on-failure:3"}}, []string{`"MaximumRetryCount":3`}},
		{"network", single.Settings{Network: "apps", ExtraArgs: []string{"--network back", "--network-alias api", "--ip 10.0.0.9", "--link db:database", "--mac-address 02:42:ac:11:00:02"}}, []string{
			`"NetworkMode":"apps"`, `"Aliases":["api","web"]`, `"Aliases":["web"]`, `"IPv4Address":"10.0.0.9"`, `"Links":["db:database"]`, `"back":{`,
		}},
		{"host", single.Settings{Network: "host"}, []string{`"NetworkMode":"host"`, `"EndpointsConfig":{}`}},
		{"limits", single.Settings{ExtraArgs: []string{"-m 512m --memory-swap=-1 --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0-1 --pids-limit 100 --shm-size 64m --ulimit nofile=1:2 --oom-score-adj=-5 --oom-kill-disable"}}, []string{
			`"Memory":536870912`, `"MemorySwap":-1`, `"NanoCpus":1500000000`, `"CpuShares":512`, `"CpusetCpus":"0-1"`, `"PidsLimit":100`, `"ShmSize":67108864`, `"Name":"nofile"`, `"OomScoreAdj":-5`, `"OomKillDisable":true`,
		}},
		{"rights", single.Settings{ExtraArgs: []string{"--privileged --cap-add NET_ADMIN --cap-drop=ALL --security-opt no-new-privileges --security-opt systempaths=unconfined --read-only --group-add 44 --device /dev/dri:/dev/dri:r --device /dev/kvm --gpus all"}}, []string{
			`"Privileged":true`, `"CapAdd":["NET_ADMIN"]`, `"CapDrop":["ALL"]`, `"SecurityOpt":["no-new-privileges"]`, `"MaskedPaths":[]`, `"ReadonlyRootfs":true`, `"GroupAdd":["44"]`,
			`"PathOnHost":"/dev/dri","PathInContainer":"/dev/dri","CgroupPermissions":"r"`, `"PathInContainer":"/dev/kvm","CgroupPermissions":"rwm"`, `"Capabilities":[["gpu"]]`,
		}},
		{"identity", single.Settings{ExtraArgs: []string{"-it -h box --domainname lan --pid host --ipc=private --uts host --userns host --cgroupns private --init=false --runtime runc --platform linux/arm64"}}, []string{
			`"Tty":true`, `"OpenStdin":true`, `"Hostname":"box"`, `"Domainname":"lan"`, `"PidMode":"host"`, `"IpcMode":"private"`, `"UTSMode":"host"`, `"UsernsMode":"host"`, `"CgroupnsMode":"private"`, `"Init":false`, `"Runtime":"runc"`, `"architecture":"arm64"`,
		}},
		{"names", single.Settings{ExtraArgs: []string{"--dns 1.1.1.1 --dns-search lan --dns-opt ndots:1 --add-host db:10.0.0.1 --sysctl net.core.somaxconn=1024 --log-driver json-file --log-opt max-size=1m"}}, []string{
			`"Dns":["1.1.1.1"]`, `"DnsSearch":["lan"]`, `"DnsOptions":["ndots:1"]`, `"ExtraHosts":["db:10.0.0.1"]`, `"net.core.somaxconn":"1024"`, `"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}}`,
		}},
		{"health", single.Settings{ExtraArgs: []string{`--health-cmd "curl -f localhost"`, "--health-interval 5s --health-retries 2 --health-start-period=1m", "--stop-signal SIGQUIT --stop-timeout 30"}}, []string{
			`"Test":["CMD-SHELL","curl -f localhost"]`, `"Interval":5000000000`, `"Retries":2`, `"StopSignal":"SIGQUIT"`, `"StopTimeout":30`,
		}},
		{"no health", single.Settings{ExtraArgs: []string{"--no-healthcheck -d --quiet"}}, []string{`"Test":["NONE"]`}},
	} {
		got := as(t, translated(t, c.in).Options)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %s is not in %s", c.name, w, got)
			}
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	for _, c := range []struct {
		in   single.Settings
		want string
	}{
		{single.Settings{ExtraArgs: []string{"--memory lots"}}, `--memory does not take "lots"`},
		{single.Settings{ExtraArgs: []string{"--foo"}}, "--foo is not understood"},
		{single.Settings{ExtraArgs: []string{"--env HOME"}}, "--env HOME has no value"},
		{single.Settings{ExtraArgs: []string{"--security-opt seccomp=/etc/x.json"}}, "seccomp"},
		{single.Settings{ExtraArgs: []string{"--no-healthcheck --health-cmd x"}}, "exclude each other"},
		{single.Settings{ExtraArgs: []string{"--pull sometimes"}}, "--pull"},
		{single.Settings{ExtraArgs: []string{"--network back"}, Network: "host"}, "can be on no other"},
		{single.Settings{ExtraArgs: []string{"--network-alias x"}, Network: "bridge"}, "--network-alias works on networks of your own only"},
		{single.Settings{ExtraArgs: []string{"--device tty"}}, ""},
		{single.Settings{ExtraArgs: []string{"--device /dev/x:y"}}, "--device"},
		{single.Settings{Ports: "http:80"}, "ports"},
		{single.Settings{Volumes: "$HOME/x:/x"}, "no shell replaces"},
		{single.Settings{Volumes: "./x:/x"}, "relative to nothing"},
		{single.Settings{Environment: "A"}, "environment"},
		{single.Settings{Labels: "berth.deployment=x"}, "Berth's own"},
		{single.Settings{Command: "echo 'open"}, "command"},
		{single.Settings{Restart: "sometimes"}, "restart"},
	} {
		c.in.Name, c.in.Image = "web", "app:1"
		_, err := single.Translate(c.in)
		if c.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.in, err)
			}
			continue
		}
		if schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), c.want) {
			t.Errorf("%+v: %v, want %q", c.in, err, c.want)
		}
	}
}

// Every flag that may be saved can be deployed: the two lists are the same.
func TestFlagsAreOneList(t *testing.T) {
	for _, name := range schema.RunFlagNames() {
		_, err := single.Translate(single.Settings{Name: "web", Image: "app:1", ExtraArgs: []string{"--" + name + "=1"}})
		if err != nil && strings.Contains(schema.SafeText(err), "no such flag") {
			t.Errorf("--%s: %v", name, err)
		}
	}
}

// What feeds a container is told apart by names that people know.
func TestInputsByName(t *testing.T) {
	inputs := func(s single.Settings) map[string]string {
		out, err := translated(t, s).Inputs()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	base := inputs(single.Settings{Environment: "A=1", Network: "bridge"})
	for want, s := range map[string]single.Settings{
		"environment A": {Environment: "A=2", Network: "bridge"},
		"environment B": {Environment: "A=1\nB=2", Network: "bridge"},
		"ports":         {Environment: "A=1", Network: "bridge", Ports: "1:1"},
		"volumes":       {Environment: "A=1", Network: "bridge", Volumes: "/a:/a"},
		"network":       {Environment: "A=1", Network: "apps"},
		"restart":       {Environment: "A=1", Network: "bridge", Restart: "always"},
		"command":       {Environment: "A=1", Network: "bridge", Command: "x"},
		"label l":       {Environment: "A=1", Network: "bridge", Labels: "l=1"},
		"extra_args":    {Environment: "A=1", Network: "bridge", ExtraArgs: []string{"-m 5m"}},
	} {
		var differ []string
		now := inputs(s)
		for name, v := range now {
			if base[name] != v {
				differ = append(differ, name)
			}
		}
		if !slices.Equal(differ, []string{want}) {
			t.Errorf("%s: %v differ", want, differ)
		}
	}
}
