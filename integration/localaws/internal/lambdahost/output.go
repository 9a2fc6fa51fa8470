//go:build unix

package lambdahost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

const (
	// maxLine is the longest log event of CloudWatch Logs; what is longer is
	// split: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
	maxLine = 256 << 10
	// maxPipe is more than a pipe holds, so that one look into it ends even
	// when its writer does not.
	maxPipe = 1 << 20
)

// lineLog writes whole lines, one at a time, to a writer that many share.
type lineLog struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// line writes text and a line feed in one Write.
func (l *lineLog) line(text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := make([]byte, 0, len(text)+1)
	line = append(append(line, text...), '\n')
	if _, err := l.w.Write(line); err != nil && l.err == nil {
		l.err = err
	}
}

func (l *lineLog) printf(format string, args ...any) {
	l.line(fmt.Appendf(nil, format, args...))
}

func (l *lineLog) firstError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// output carries what a process writes to one of its standard streams into
// the log, line by line.
//
// It reads the pipe itself, without blocking and under a lock, so that at the
// end of an invocation all that the process wrote before is in the log before
// the platform's lines are, and before Invoke returns.
type output struct {
	log   *lineLog
	read  *os.File
	raw   syscall.RawConn
	ended chan struct{}

	mu      sync.Mutex
	buffer  []byte
	partial []byte // a line without its end yet
}

// newOutput returns an output and the file that the process is to write to.
// The caller closes that file when the process has it.
func newOutput(log *lineLog) (*output, *os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a pipe: %w", err)
	}
	raw, err := read.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening a pipe: %w", err), read.Close(), write.Close())
	}
	o := &output{log: log, read: read, raw: raw, ended: make(chan struct{}), buffer: make([]byte, 32<<10)}
	go o.follow()
	return o, write, nil
}

// follow logs lines as they come, until the writers or finish close the pipe.
func (o *output) follow() {
	defer close(o.ended)
	// The error is that the pipe was closed: that is how it ends.
	_ = o.raw.Read(func(fd uintptr) bool { return o.take(fd) })
}

// drain logs all that was written before it was called.
func (o *output) drain() {
	_ = o.raw.Control(func(fd uintptr) { o.take(fd) })
}

// finish logs the rest, with or without a line feed, and lets the pipe go. It
// does not wait for writers that have outlived their process.
func (o *output) finish() {
	o.drain()
	_ = o.read.Close()
	<-o.ended
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.partial) > 0 {
		o.log.line(o.partial)
		o.partial = nil
	}
}

// take reads what is in the pipe. It reports whether the pipe has ended, not
// just run empty.
func (o *output) take(fd uintptr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for total := 0; total < maxPipe; {
		n, err := syscall.Read(int(fd), o.buffer)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil || n <= 0:
			return true
		}
		total += n
		o.split(o.buffer[:n])
	}
	return false
}

// split logs the lines that are complete with text.
func (o *output) split(text []byte) {
	for {
		line, rest, found := bytes.Cut(text, []byte{'\n'})
		o.partial = append(o.partial, line...)
		for len(o.partial) > maxLine {
			o.log.line(o.partial[:maxLine])
			o.partial = append(o.partial[:0], o.partial[maxLine:]...)
		}
		if !found {
			return
		}
		o.log.line(o.partial)
		o.partial = o.partial[:0]
		text = rest
	}
}
