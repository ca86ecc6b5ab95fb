// The program of the test bed's images, for pods of a real node.
//
//	pod pause    waits and reaps children: the sandbox of every pod
//	pod serve    answers HTTP at /, /healthz and /readyz on PORT (8080)
//
// READY_AFTER=5s lets /readyz refuse for that long, NEVER_READY=1 for ever, CRASH_AFTER=1s ends the
// program with code 1, and STOP_AFTER=2s answers that long after SIGTERM.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		go serve()
	}
	for received := range signals {
		if received != syscall.SIGCHLD {
			fmt.Println("stopping:", received)
			time.Sleep(duration("STOP_AFTER"))
			os.Exit(0)
		}
		reap()
	}
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

func serve() {
	began := time.Now()
	if after := duration("CRASH_AFTER"); after > 0 {
		time.AfterFunc(after, func() {
			fmt.Fprintln(os.Stderr, "crashing, as CRASH_AFTER asks")
			os.Exit(1)
		})
	}
	host, _ := os.Hostname()
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("NEVER_READY") != "" || time.Since(began) < duration("READY_AFTER") {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "version=%s host=%s uid=%d\n", os.Getenv("VERSION"), host, os.Getuid())
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	fmt.Println("listening on", port)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":"+port, nil))
	os.Exit(1)
}

// The duration in a variable, 0 if there is none.
func duration(name string) time.Duration {
	value, _ := time.ParseDuration(os.Getenv(name))
	return value
}
