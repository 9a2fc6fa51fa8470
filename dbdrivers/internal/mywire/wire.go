package mywire

import (
	"net"
	"sync"
)

// hop is the part of a sign-in that is under way, in words that finish "no
// answer from ...".
type hop string

const (
	hopConnection hop = "the address"
	hopGreeting   hop = "the server, which greets first"
	hopTLS        hop = "the server in the TLS handshake"
	hopSignIn     hop = "the server to the sign-in"
)

// wire is the connection below TLS. It notes what the client library does not
// tell: how far a sign-in has come, and why reading failed.
type wire struct {
	net.Conn

	mu     sync.Mutex // the library closes it from another goroutine
	said   bool
	heard  bool // since something was said
	turns  int
	failed error
}

// Read reads, and notes.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = w.heard || n > 0
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// Write writes, and notes.
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = true
	if w.heard {
		w.heard = false
		w.turns++
	}
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// answered reports whether this end has said anything, which it does once it
// has understood the server's greeting.
func (w *wire) answered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said
}

// countAnew forgets how often this end has answered.
func (w *wire) countAnew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns, w.heard = 0, true
}

// answers is how often this end has spoken after it had heard something.
func (w *wire) answers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turns
}

// failure is the first error of reading or writing, or nil.
func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}
