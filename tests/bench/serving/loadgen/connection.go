package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// connection has at most one request under way.
type connection struct {
	fd      int
	busy    bool
	current *exchange
	unsent  []byte
	due     time.Duration
	got     []byte
	head    head
	headIn  bool
}

func (l *loop) connect(c *connection) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	// A server whose queue of new connections is full would make this wait for minutes.
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{Sec: 10}); err != nil {
		return err
	}
	err = syscall.Connect(fd, &l.target)
	// A signal, such as Go's own to a goroutine that runs long, ends the wait only: Linux takes it up again when asked.
	for err == syscall.EINTR {
		err = syscall.Connect(fd, &l.target)
	}
	if err != nil {
		syscall.Close(fd)
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	*c = connection{fd: fd, got: c.got[:0]}
	l.byFD[int32(fd)] = c
	event := syscall.EpollEvent{Events: readable, Fd: int32(fd)}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event)
}

func (l *loop) send(due time.Duration) error {
	c := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	c.current = &l.exchanges[l.next%len(l.exchanges)]
	l.next++
	c.busy, c.due, c.headIn, c.got = true, due, false, c.got[:0]
	c.unsent = c.current.request
	l.underWay++
	l.result.Sent++
	return l.write(c)
}

func (l *loop) write(c *connection) error {
	for len(c.unsent) > 0 {
		count, err := syscall.Write(c.fd, c.unsent)
		switch {
		case err == syscall.EAGAIN:
			return l.watch(c, readable|writable)
		case err == syscall.EINTR:
		case err != nil:
			return l.broken(c)
		default:
			c.unsent = c.unsent[count:]
		}
	}
	return nil
}

func (l *loop) watch(c *connection, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: int32(c.fd)}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_MOD, c.fd, &event)
}

func (l *loop) handle(c *connection, events uint32) error {
	if events&writable != 0 && len(c.unsent) > 0 {
		if err := l.write(c); err != nil {
			return err
		}
		if len(c.unsent) == 0 {
			if err := l.watch(c, readable); err != nil {
				return err
			}
		}
	}
	if events&^writable == 0 {
		return nil
	}
	count, err := syscall.Read(c.fd, l.buffer)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil || count == 0:
		return l.broken(c)
	}
	if !c.busy {
		return l.broken(c) // bytes that nobody asked for
	}
	return l.receive(c, l.buffer[:count])
}

// receive takes in what has arrived. Most answers arrive in one piece and are judged without a copy.
func (l *loop) receive(c *connection, part []byte) error {
	whole := part
	if len(c.got) > 0 {
		c.got = append(c.got, part...)
		whole = c.got
	}
	if !c.headIn {
		var err error
		if c.head, c.headIn, err = readHead(whole); err != nil {
			return err
		}
	}
	size := c.head.size + c.head.length
	if !c.headIn || len(whole) < size {
		if len(c.got) == 0 {
			c.got = append(c.got, part...)
		}
		return nil
	}
	if len(whole) > size {
		return fmt.Errorf("%d bytes after the answer", len(whole)-size)
	}
	l.judge(c, whole[c.head.size:])
	c.busy = false
	l.underWay--
	if c.head.close {
		return l.reconnect(c)
	}
	l.idle = append(l.idle, c)
	return nil
}

func (l *loop) judge(c *connection, body []byte) {
	now := time.Since(l.start)
	l.lastAnswer = now
	if c.head.status != 200 {
		l.result.Statuses[strconv.Itoa(c.head.status)]++
		return
	}
	if !bytes.Equal(body, c.current.answer) {
		if !near(body, c.current.answer) {
			if l.result.Wrong == 0 {
				l.result.FirstWrong = string(body[:min(len(body), 300)])
			}
			l.result.Wrong++
			return
		}
		l.result.Near++
	}
	l.result.Correct++
	l.latencies = append(l.latencies, int64(now-c.due))
	second := int(now / time.Second)
	for len(l.result.PerSecond) <= second {
		l.result.PerSecond = append(l.result.PerSecond, 0)
		l.result.InTimePerSecond = append(l.result.InTimePerSecond, 0)
	}
	l.result.PerSecond[second]++
	if now-c.due <= l.patience {
		l.result.InTime++
		l.result.InTimePerSecond[second]++
	}
}

// broken notes a connection that the server ended, with a request under way or without.
func (l *loop) broken(c *connection) error {
	if c.busy {
		l.result.Broken++
		l.underWay--
	} else {
		l.idle = slices.DeleteFunc(l.idle, func(other *connection) bool { return other == c })
	}
	return l.reconnect(c)
}

func (l *loop) reconnect(c *connection) error {
	delete(l.byFD, int32(c.fd))
	syscall.Close(c.fd)
	l.result.Reconnects++
	if err := l.connect(c); err != nil {
		return fmt.Errorf("the server ended a connection and takes no new one: %w", err)
	}
	l.idle = append(l.idle, c)
	return nil
}
