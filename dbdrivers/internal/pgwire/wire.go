package pgwire

import (
	"net"
	"sync"
)

// wire is the connection below TLS. It notes what the client library does not
// tell: the server's answer to the request for TLS, and why reading failed.
type wire struct {
	net.Conn

	mu     sync.Mutex // the library reads in the background after a failure
	first  byte
	failed error
}

// Read reads, and notes.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.first == 0 {
		w.first = p[0]
	}
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// firstByte is the first thing that the server said, or zero.
func (w *wire) firstByte() byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// failure is the first error of reading, or nil.
func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}
