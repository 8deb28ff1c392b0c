package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// sample is a series of measurements.
type sample []time.Duration

// at returns the q-quantile, 0.5 being the median.
func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s sample) median() time.Duration { return s.at(0.5) }

// ms writes a duration in milliseconds, with as many digits as mean something.
func ms(d time.Duration) string {
	v := float64(d.Microseconds()) / 1000
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f ms", v)
	case v < 100:
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.0f ms", v)
}

func mb(kb int) string { return fmt.Sprintf("%.1f MB", float64(kb)*1024/1e6) }

// line is one line of the table.
type line struct {
	what, goal, measured, floor, ratio string
	good                               bool // the goal is met
}

func (l line) String() string {
	met := "met"
	switch {
	case l.goal == "":
		l.goal, met = "–", ""
	case l.measured == notInstalled:
		met = "–"
	case !l.good:
		met = "**missed**"
	}
	for _, p := range []*string{&l.floor, &l.ratio} {
		if *p == "" {
			*p = "–"
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", l.what, l.measured, l.floor, l.ratio, l.goal, met)
}

const notInstalled = "not installed"

// ratio compares medians; the goal is at most limit times the floor, and extra.
func (s *stage) ratio(what string, ours, floor sample, limit float64, extra time.Duration) {
	a, z := ours.median(), floor.median()
	goal := fmt.Sprintf("≤ %g × floor", limit)
	if extra > 0 {
		goal += " + " + extra.String()
	}
	s.add(line{
		what: what, measured: ms(a), floor: ms(z), ratio: fmt.Sprintf("%.2f", float64(a)/float64(z)),
		goal: goal, good: float64(a-extra) <= limit*float64(z),
	})
}

func (s *stage) add(l line) {
	s.lines = append(s.lines, l)
	s.say("%s", strings.TrimSpace(l.String()))
}

// plus compares medians; the goal is the floor and at most extra.
func (s *stage) plus(what string, ours, floor sample, extra time.Duration) {
	a, z := ours.median(), floor.median()
	s.add(line{
		what: what, measured: ms(a), floor: ms(z), ratio: fmt.Sprintf("%.2f (+%s)", float64(a)/float64(z), ms(a-z)),
		goal: "floor + " + fmt.Sprint(extra.Milliseconds()) + " ms", good: a-z <= extra,
	})
}

// plain is a figure without a floor.
func (s *stage) plain(what, measured, goal string, good bool) {
	s.add(line{what: what, measured: measured, goal: goal, good: good})
}

// document is docs/benchmarks.md.
func (s *stage) document(ctx context.Context) string {
	var b strings.Builder
	info := s.engine.Info(ctx)
	fmt.Fprintf(&b, `# Benchmarks

`+"`go tool task bench`"+` measures on your machine and writes this page. What counts are the ratios: every figure stands beside a floor
that was taken in the same run, in turns with it, because machines differ and are busy. Figures are medians unless they say otherwise.

Measured on %s: %d cores, %s memory, %s/%s, engine %s, compose CLI %s; %d rounds of each comparison.

| What | Berth | Floor | Ratio | Goal | |
|---|---|---|---|---|---|
`, time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), memory(), runtime.GOOS, runtime.GOARCH, info.Version, s.cli, s.rounds)
	for _, l := range s.lines {
		b.WriteString(l.String())
	}
	b.WriteString(explanation)
	if len(s.splits) > 0 {
		b.WriteString("\n## Where the time of a run goes\n\n" + splitIntro)
		for _, t := range s.splits {
			b.WriteString(t)
		}
	}
	return b.String()
}

const explanation = `
## What is compared

- **No-op deploy**: from the API request ` + "`DeployStack`" + ` until its caller has read the run's last event from the run's stream, over HTTP,
  with every event of the run synced to disk on the way; nothing changed, ` + "`auto_pull`" + ` off. Floor: the compose SDK's bare load and ` + "`up`" + ` in a process
  of its own. With ` + "`auto_pull`" + ` on, images in a registry on the same machine, the floor is the sequence ` + "`docker compose config, pull, up -d, ps`" + `.
- **One service changed**: the same with one service's environment changed each time. With the health check on, a changed container must be
  seen to stay up for a second before its deploy is a success, so that second is on top; bare ` + "`up`" + ` does not look.
- **Push**: from the webhook's POST until the engine says that the new container has started, against ` + "`git fetch`, `git reset --hard`" + ` and
  the SDK's bare ` + "`up`" + ` in the same work tree. The webhook names the commit; fetching it, deciding what changed and bringing it up are in the time.
- **Webhook accepted**: POST of a signed GitHub push until its answer, which comes when the delivery is synced to disk. Floor: one synced
  publish of the same size into an embedded JetStream of the same build, on the same disk.
- **Plans**: what a sync would do, worked out in core without a network: the files are there, the commit is fetched. *Read and checked* is each declaration
  with its names, types and values; a plan compares them with what is stored as well; a sync also decides for each stack whether it is to be deployed, here
  after a commit that changed one compose file. The floors answer no such question: they only read the same bytes.
- **API**: a user who may read 200 of 1,000 stacks asks for the whole list, and eight clients with his key ask for one stack as fast as they get answers.
  Floor: a bare HTTP server in the measuring process that answers the same bytes, or as many as one stack has, without looking at who asks.
- **Memory**: resident size of the processes of one binary. Ten seconds after its start a process lets go of what only the start needed: garbage, and
  some 40 MB of the binary's own pages, which initialising its hundreds of packages had mapped (the kernel maps a neighbourhood around each page that
  is touched). What is left of the binary is what is in use; the kernel may drop it too.

Repeat a part with ` + "`go tool task bench -- -run 'noop|push' -n 30`" + `.
`

const splitIntro = `From the record of the runs themselves (medians, milliseconds; their clock counts whole ones). *begin*: until the agent has begun: the run recorded and
started, the step recorded and queued, the agent told, the lease taken. *config, up, health …*: the agent's phases. *report*: the rest until the answer
is recorded: journal, output, result. *end*: until the run's end is recorded. *seen*: HTTP and what else the caller waits for.

`

// memory is the machine's, in GB.
func memory() string {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return "?"
	}
	defer f.Close()
	var kb float64
	for s := bufio.NewScanner(f); s.Scan(); {
		if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %f kB", &kb); n == 1 {
			break
		}
	}
	return fmt.Sprintf("%.0f GB", kb*1024/1e9)
}
