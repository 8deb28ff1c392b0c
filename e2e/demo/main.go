// Command demo shows Berth at work on this machine: a push to a small git
// repository deploys two stacks while you watch.
//
// It serves the repository itself, builds the images itself, keeps everything in a
// throw-away folder and takes it all away at its end. `go tool task demo` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	binary := flags.String("berth", "bin/berth", "the binary to show")
	listen := flags.String("listen", "127.0.0.1:9120", "where berth serves")
	once := flags.Bool("once", false, "end when both stacks are deployed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &stage{out: out, binary: *binary, listen: *listen}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	for _, act := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Docker answers", s.engine},
		{"Images are built, without a registry", s.images},
		{"A git server holds a repository with two stacks", s.git},
		{"berth up: core and an agent in one process", s.up},
		{"berth apply: the repository, two stacks, a procedure, a webhook secret", s.apply},
		{"A push, and the signed webhook of a forge", s.push},
		{"The run, as it happens", s.follow},
	} {
		s.title(act.title)
		if err := act.do(ctx); err != nil {
			return err
		}
	}
	s.curtain(*once)
	if *once {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.ended:
		return fmt.Errorf("berth ended by itself: %w", err)
	}
}
