// Load drives one HTTP server with prepared requests and checks every answer.
//
// One thread and one epoll, so that forty thousand requests a second leave most of a core free. Closed loop: each
// connection sends when it has its answer. Open loop (-rate): requests are due on a fixed schedule, whatever the server
// does, and latency counts from when a request was due, so that a server that stalls cannot hide it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

func main() {
	settings := settings{}
	flag.StringVar(&settings.address, "address", "", "host:port of the server, numeric")
	flag.StringVar(&settings.requests, "requests", "", "file of requests and their answers, see requests.go")
	flag.IntVar(&settings.connections, "connections", 1, "how many connections are kept open")
	flag.DurationVar(&settings.duration, "duration", time.Second, "how long requests are sent; what is under way then is waited for")
	flag.DurationVar(&settings.timeout, "timeout", 60*time.Second, "how long answers are waited for after the last request")
	flag.Float64Var(&settings.rate, "rate", 0, "requests a second of the open loop; 0 is the closed loop")
	flag.DurationVar(&settings.patience, "patience", time.Second, "open loop: a request that found no free connection for so long is given up")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	result, err := run(settings)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

type settings struct {
	address, requests           string
	connections                 int
	duration, timeout, patience time.Duration
	rate                        float64
}

// Result is what the caller reads. Counts are of requests.
type Result struct {
	Sent    int `json:"sent"`
	Correct int `json:"correct"`
	// Near is the part of Correct whose numbers are equal within 1e-6 and whose bytes are not.
	Near       int            `json:"near"`
	Wrong      int            `json:"wrong"`
	Statuses   map[string]int `json:"statuses"`
	Broken     int            `json:"broken"`
	GivenUp    int            `json:"given_up"`
	Unanswered int            `json:"unanswered"`
	// InTime is the part of Correct that was there within the patience, counted from when it was due.
	InTime int `json:"in_time"`
	// InTimePerSecond has the answers of InTime by the second in which they came.
	InTimePerSecond []int   `json:"in_time_per_second"`
	Reconnects      int     `json:"reconnects"`
	Seconds         float64 `json:"seconds"`
	// PerSecond has the correct answers of each second.
	PerSecond []int `json:"per_second"`
	// Latency in milliseconds, of correct answers.
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	// CPU seconds of this program between the first request and the last answer.
	CPU float64 `json:"cpu"`
	// FirstWrong is the start of the first wrong answer, to find out why.
	FirstWrong string `json:"first_wrong,omitempty"`
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
