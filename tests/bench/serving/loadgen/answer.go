package main

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

var (
	endOfHead   = []byte("\r\n\r\n")
	lengthName  = []byte("content-length")
	closeName   = []byte("connection")
	errResponse = errors.New("not an HTTP/1.1 response with a Content-Length")
)

// head is what the first lines of a response say.
type head struct {
	size, status, length int
	close                bool
}

// readHead parses the head of a response, once it is there in full.
func readHead(buffer []byte) (head, bool, error) {
	end := bytes.Index(buffer, endOfHead)
	if end < 0 {
		return head{}, false, nil
	}
	if end < 12 || string(buffer[:9]) != "HTTP/1.1 " {
		return head{}, false, errResponse
	}
	status, err := strconv.Atoi(string(buffer[9:12]))
	if err != nil {
		return head{}, false, errResponse
	}
	found := head{size: end + len(endOfHead), status: status, length: -1}
	lines := buffer[:end]
	for {
		at := bytes.Index(lines, endOfHead[:2])
		if at < 0 {
			break
		}
		lines = lines[at+2:]
		line := lines
		if stop := bytes.IndexByte(line, '\r'); stop >= 0 {
			line = line[:stop]
		}
		if value, ok := valueOf(line, lengthName); ok {
			if found.length, err = strconv.Atoi(string(value)); err != nil {
				return head{}, false, errResponse
			}
		} else if value, ok := valueOf(line, closeName); ok && bytes.EqualFold(value, []byte("close")) {
			found.close = true
		}
	}
	if found.length < 0 {
		return head{}, false, errResponse
	}
	return found, true, nil
}

func valueOf(line, name []byte) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !bytes.EqualFold(line[:len(name)], name) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}

// near compares two texts: numbers within 1e-6, all else byte by byte.
func near(got, expected []byte) bool {
	for len(got) > 0 && len(expected) > 0 {
		one, oneSize := numberAt(got)
		two, twoSize := numberAt(expected)
		switch {
		case oneSize > 0 && twoSize > 0:
			if math.Abs(one-two) > 1e-6*math.Max(1, math.Max(math.Abs(one), math.Abs(two))) {
				return false
			}
			got, expected = got[oneSize:], expected[twoSize:]
		case oneSize > 0 || twoSize > 0 || got[0] != expected[0]:
			return false
		default:
			got, expected = got[1:], expected[1:]
		}
	}
	return len(got) == len(expected)
}

func numberAt(text []byte) (float64, int) {
	size := 0
	for size < len(text) && (text[size] >= '0' && text[size] <= '9' || bytes.IndexByte([]byte("+-.eE"), text[size]) >= 0) {
		size++
	}
	value, err := strconv.ParseFloat(string(text[:size]), 64)
	if err != nil {
		return 0, 0
	}
	return value, size
}
