package main

import (
	"encoding/binary"
	"errors"
	"os"
)

// exchange is one request as it goes over the wire, and the body of its correct answer.
type exchange struct {
	request, answer []byte
}

// readExchanges reads a file of: count, then for each the length and bytes of the request, and of the answer. Numbers
// are 32 bits, little endian.
func readExchanges(path string) ([]exchange, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	broken := errors.New(path + " is not a file of requests")
	number := func() int {
		if len(content) < 4 {
			content = nil
			return -1
		}
		value := binary.LittleEndian.Uint32(content)
		content = content[4:]
		return int(value)
	}
	block := func() []byte {
		size := number()
		if size < 0 || size > len(content) {
			content = nil
			return nil
		}
		part := content[:size:size]
		content = content[size:]
		return part
	}
	count := number()
	if count < 1 {
		return nil, broken
	}
	var exchanges []exchange
	for range count {
		one := exchange{block(), block()}
		if len(one.request) == 0 || len(one.answer) == 0 {
			return nil, broken
		}
		exchanges = append(exchanges, one)
	}
	return exchanges, nil
}
