package localaws

import (
	"bytes"
	"strings"
	"sync"
)

// A functionLog is the output of one function, of all its processes.
type functionLog struct {
	line func(string) // called with each whole line

	mu      sync.Mutex
	text    strings.Builder
	partial []byte // of the last line, not ended yet
}

// Write takes output; it never fails.
func (l *functionLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.text.Write(p)
	l.partial = append(l.partial, p...)
	var lines []string
	for {
		line, rest, ended := bytes.Cut(l.partial, []byte("\n"))
		if !ended {
			break
		}
		lines = append(lines, string(line))
		l.partial = rest
	}
	l.mu.Unlock()
	for _, line := range lines {
		l.line(line)
	}
	return len(p), nil
}

// String returns all output so far.
func (l *functionLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
