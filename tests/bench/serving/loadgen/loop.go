package main

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
	"unsafe"
)

const (
	readable  = syscall.EPOLLIN | syscall.EPOLLRDHUP
	writable  = syscall.EPOLLOUT
	spinBelow = 100 * time.Microsecond
	readSize  = 256 << 10
)

type loop struct {
	settings
	exchanges  []exchange
	next       int
	target     syscall.SockaddrInet4
	epoll      int
	byFD       map[int32]*connection
	idle       []*connection
	underWay   int
	start      time.Time
	lastAnswer time.Duration
	waiting    []time.Duration // open loop: when requests were due that no connection was free for
	scheduled  int
	latencies  []int64
	buffer     []byte
	result     Result
}

func run(settings settings) (*Result, error) {
	exchanges, err := readExchanges(settings.requests)
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddrPort(settings.address)
	if err != nil || !address.Addr().Is4() {
		return nil, fmt.Errorf("-address must be an IPv4 address and a port, got %q", settings.address)
	}
	l := &loop{settings: settings, exchanges: exchanges, byFD: map[int32]*connection{}, buffer: make([]byte, readSize)}
	l.target = syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	l.result.Statuses = map[string]int{}
	if l.epoll, err = syscall.EpollCreate1(0); err != nil {
		return nil, err
	}
	for range settings.connections {
		c := &connection{}
		if err := l.connect(c); err != nil {
			return nil, fmt.Errorf("connect to %s: %w", settings.address, err)
		}
		l.idle = append(l.idle, c)
	}
	return l.drive()
}

// drive sends until the time is up and then waits for what is under way, so that slow servers are not cut off between
// two answers: throughput is all answers by the time of the last.
func (l *loop) drive() (*Result, error) {
	cpu := cpuSeconds()
	l.start = time.Now()
	events := make([]syscall.EpollEvent, 256)
	for {
		now := time.Since(l.start)
		if now < l.duration {
			if err := l.dispatch(now); err != nil {
				return nil, err
			}
		} else {
			l.result.GivenUp += len(l.waiting)
			l.waiting = nil
			if l.underWay == 0 || now > l.duration+l.timeout {
				break
			}
		}
		count, err := l.wait(events, l.pause(now))
		if err != nil {
			return nil, err
		}
		for _, event := range events[:count] {
			if c := l.byFD[event.Fd]; c != nil {
				if err := l.handle(c, event.Events); err != nil {
					return nil, err
				}
			}
		}
	}
	l.result.Unanswered = l.underWay
	l.result.CPU = cpuSeconds() - cpu
	l.result.Seconds = max(l.lastAnswer, l.duration).Seconds()
	if l.rate == 0 && l.lastAnswer > 0 {
		l.result.Seconds = l.lastAnswer.Seconds()
	}
	l.summarize()
	return &l.result, nil
}

// dispatch starts what can be started now.
func (l *loop) dispatch(now time.Duration) error {
	if l.rate == 0 {
		for len(l.idle) > 0 {
			if err := l.send(now); err != nil {
				return err
			}
		}
		return nil
	}
	for due := l.dueTime(l.scheduled); due <= now; due = l.dueTime(l.scheduled) {
		l.waiting = append(l.waiting, due)
		l.scheduled++
	}
	for len(l.waiting) > 0 && now-l.waiting[0] > l.patience {
		l.waiting = l.waiting[1:]
		l.result.GivenUp++
	}
	for len(l.waiting) > 0 && len(l.idle) > 0 {
		due := l.waiting[0]
		l.waiting = l.waiting[1:]
		if err := l.send(due); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) dueTime(number int) time.Duration {
	return time.Duration(float64(number) / l.rate * 1e9)
}

// pause is how long nothing can happen but an answer.
func (l *loop) pause(now time.Duration) time.Duration {
	if now >= l.duration {
		return 10 * time.Millisecond
	}
	until := l.duration - now
	if l.rate > 0 {
		until = min(until, max(0, l.dueTime(l.scheduled)-now))
	}
	if until < spinBelow {
		return 0
	}
	return until
}

func (l *loop) wait(events []syscall.EpollEvent, pause time.Duration) (int, error) {
	const epollPwait2 = 441 // the syscall package is older than it
	limit := syscall.NsecToTimespec(int64(pause))
	count, _, errno := syscall.Syscall6(epollPwait2, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	if errno == syscall.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(count), nil
}

func (l *loop) summarize() {
	if len(l.latencies) == 0 {
		return
	}
	slices.Sort(l.latencies)
	at := func(share float64) float64 {
		// The smallest value that so many are not above, as tests/bench/figures.py has it.
		position := int(share*float64(len(l.latencies)) + 0.999999)
		return float64(l.latencies[min(max(position-1, 0), len(l.latencies)-1)]) / 1e6
	}
	l.result.P50, l.result.P90, l.result.P99, l.result.P999, l.result.Max = at(0.5), at(0.9), at(0.99), at(0.999), at(1)
}
