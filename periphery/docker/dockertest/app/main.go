// Command app is what runs in the containers of tests and of the demo: a small
// HTTP server that tells what it was given.
//
//	GET /               the text of APP_TEXT, or "ok"
//	GET /env?name=X     the value of an environment variable
//	GET /file?path=P    the contents of a file
//
// It ends at once on SIGTERM and SIGINT, so that stopping it takes no time.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	port := flag.String("port", env("PORT", "8080"), "where to serve")
	health := flag.Bool("health", false, "ask the server of this container and exit 0 if it answers")
	unhealthy := flag.Bool("unhealthy", false, "answer health checks with an error")
	gate := flag.String("gate", "", "with -health: fail as well while there is no file of this name")
	exit := flag.Int("exit", -1, "exit with this code after -sleep instead of serving")
	sleep := flag.Duration("sleep", 0, "wait before serving or exiting")
	say := flag.String("say", "", "print this at the start; newlines as \\n")
	show := flag.String("show", "", "print these environment variables at the start, comma separated")
	deaf := flag.String("deaf", "", "hear these signals, comma separated, and go on: SIGTERM, SIGINT")
	cat := flag.String("cat", "", "print this file at the start")
	flag.Parse()
	if *health {
		os.Exit(check(*port, *gate))
	}
	stop := make(chan os.Signal, 1)
	for name, sig := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		if strings.Contains(*deaf, name) {
			ignore(sig)
		} else {
			signal.Notify(stop, sig)
		}
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(*say, `\n`, "\n"), "\n") {
		if line != "" {
			fmt.Println(line)
		}
	}
	for name := range strings.SplitSeq(*show, ",") {
		if name != "" {
			fmt.Printf("%s=%s\n", name, os.Getenv(name))
		}
	}
	if *cat != "" {
		text, err := os.ReadFile(*cat)
		fmt.Printf("%s: %q %v\n", *cat, text, err)
	}
	select {
	case <-stop:
		return
	case <-time.After(*sleep):
	}
	if *exit >= 0 {
		fmt.Fprintf(os.Stderr, "exiting with %d\n", *exit)
		os.Exit(*exit)
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(*port, *unhealthy) }()
	select {
	case <-stop:
	case err := <-failed:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ignore tells of a signal and does nothing about it.
func ignore(sig os.Signal) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, sig)
	go func() {
		for s := range heard {
			fmt.Println("heard", s)
		}
	}()
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// check asks the server beside us, as a health check does.
func check(port, gate string) int {
	if gate != "" {
		if _, err := os.Stat(gate); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		fmt.Println("status", res.StatusCode)
		return 1
	}
	return 0
}

func serve(port string, unhealthy bool) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, env("APP_TEXT", "ok"))
	})
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if unhealthy {
			http.Error(w, "told to be unhealthy", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv(r.FormValue("name")))
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile(r.FormValue("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_, _ = w.Write(text)
	})
	fmt.Println("serving on port", port)
	return http.ListenAndServe(":"+port, mux)
}
