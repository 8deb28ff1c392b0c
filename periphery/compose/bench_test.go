package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/periphery/docker/dockertest"
)

// BenchmarkUpNoop measures a deploy of a project in which nothing changed, load
// to health, against the SDK's bare load and `up` of the same, in turns.
func BenchmarkUpNoop(b *testing.B) {
	for _, n := range []int{1, 5, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStack(b, map[string]string{"compose.yaml": services(n)})
			s.spec.Health = true
			s.up()
			var ours, bare []time.Duration
			for b.Loop() {
				ours = append(ours, took(b, func() error { _, err := s.try(b.Context()); return err }))
				bare = append(bare, took(b, func() error { return s.bareUp(b.Context()) }))
			}
			report(b, ours, bare)
		})
	}
}

// BenchmarkUpOneChanged is the same with one service changed each time.
func BenchmarkUpOneChanged(b *testing.B) {
	for _, n := range []int{1, 5, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			file := services(n)
			s := newStack(b, map[string]string{"compose.yaml": file})
			s.up()
			i := 0
			change := func() {
				i++
				s.write(map[string]string{"compose.yaml": strings.Replace(file, "NAME: s00", fmt.Sprint("NAME: v", i), 1)})
			}
			var ours, bare []time.Duration
			for b.Loop() {
				change()
				ours = append(ours, took(b, func() error { _, err := s.try(b.Context()); return err }))
				change()
				bare = append(bare, took(b, func() error { return s.bareUp(b.Context()) }))
			}
			report(b, ours, bare)
		})
	}
}

// BenchmarkUpFirst is the first `up` of a project.
func BenchmarkUpFirst(b *testing.B) {
	for _, n := range []int{5, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStack(b, map[string]string{"compose.yaml": services(n)})
			var ours, bare []time.Duration
			for b.Loop() {
				ours = append(ours, took(b, func() error { _, err := s.try(b.Context()); return err }))
				dockertest.Wipe(b, s.engine, s.spec.Project)
				bare = append(bare, took(b, func() error { return s.bareUp(b.Context()) }))
				dockertest.Wipe(b, s.engine, s.spec.Project)
			}
			report(b, ours, bare)
		})
	}
}

func took(b *testing.B, f func() error) time.Duration {
	start := time.Now()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// report gives medians: other work on the machine spoils means.
func report(b *testing.B, ours, bare []time.Duration) {
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Microseconds()) / 1000
	}
	a, z := median(ours), median(bare)
	b.ReportMetric(a, "ms-ours")
	b.ReportMetric(z, "ms-bare")
	b.ReportMetric(a/z, "ratio")
	b.ReportMetric(0, "ns/op")
}
