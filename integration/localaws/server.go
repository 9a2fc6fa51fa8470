package localaws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

// DefaultListen is the address of a server whose Config names none.
const DefaultListen = "127.0.0.1:4566"

// Config is what a server is started with. Its zero value is a server in
// memory at [DefaultListen].
type Config struct {
	// Listen is the address to listen at; default [DefaultListen]. Tests take
	// "127.0.0.1:0", a free port.
	Listen string
	// DataFile keeps the secrets. Empty keeps them in memory.
	DataFile string
	// RootKeyFile holds the root key; it is made if neither it nor the data
	// exists. Default DataFile + ".key". Without a DataFile the key is one of
	// this process alone, and RootKeyFile must be empty.
	RootKeyFile string
	// Attempts is how often a rotation is tried; default 5.
	Attempts int
	// Backoff is the pause after the failed-th failure of a rotation, counted
	// from 1; default 1 s, doubling up to a minute.
	Backoff func(failed int) time.Duration
	// VersionQuota is how many versions a secret may have; default 100, as AWS
	// has it. Versions younger than a day are never removed to keep to it.
	VersionQuota int
	// Now is the clock of the secrets' dates; default time.Now. Signatures and
	// time-outs go by the real clock.
	Now func() time.Time
	// Log takes one line per call, event and line of a function's output. It
	// is never given a value, a token or a request's body. Default: discard.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.RootKeyFile == "" && c.DataFile != "" {
		c.RootKeyFile = c.DataFile + ".key"
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.VersionQuota == 0 {
		c.VersionQuota = 100
	}
	if c.Backoff == nil {
		c.Backoff = doubling
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// doubling is 1 s after the first failure, twice as much after each further
// one, and a minute at most.
func doubling(failed int) time.Duration {
	if failed > 6 {
		return time.Minute
	}
	return time.Second << (failed - 1)
}

// errClosed is the end of what was under way when the server closed.
var errClosed = errors.New("the server is closed")

// Server is a running server. Its methods may be called from several
// goroutines.
type Server struct {
	cfg      Config
	endpoint string

	store       *secretstore.Store
	credentials *credentials
	functions   functions
	rotations   rotations
	faults      faultBoard
	trail       trail

	http *http.Server
	// running ends when the server closes; goroutines counts what must have
	// ended before the store may close: rotations, requests, and the listener.
	running    context.Context
	stop       context.CancelCauseFunc
	goroutines sync.WaitGroup
	entering   sync.Mutex // guards closed, and the counting in of a request
	closed     bool
	closeOnce  sync.Once
	closeErr   error
}

// Start starts a server. Its errors say what is in the way: a taken port, a
// data file in use, a root key that does not fit.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if cfg.Attempts < 0 {
		return nil, errors.New("starting localaws: Attempts is negative")
	}
	if cfg.DataFile == "" && cfg.RootKeyFile != "" {
		return nil, errors.New("starting localaws: a RootKeyFile needs a DataFile")
	}
	// The port first: a second server on the same port must not touch data.
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("starting localaws: %w: choose another address, or end what listens there", err)
	}
	store, err := secretstore.Open(secretstore.Options{
		DataFile: cfg.DataFile, RootKeyFile: cfg.RootKeyFile, Account: Account, Now: cfg.Now,
	})
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("starting localaws: %w", err)
	}
	s := &Server{
		cfg:         cfg,
		endpoint:    "http://" + reachable(listener.Addr()),
		store:       store,
		credentials: newCredentials(),
	}
	s.running, s.stop = context.WithCancelCause(context.Background())
	s.functions.output = func(name, line string) {
		cfg.Log.Info("output", "function", name, "line", line)
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 30 * time.Second,
		ReadTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	s.goroutines.Go(func() { _ = s.http.Serve(listener) }) // always http.ErrServerClosed
	return s, nil
}

// reachable is the address by which this machine reaches a listener: one on
// every interface is reached by loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}

// enter counts a request in, unless the server is closed.
func (s *Server) enter() bool {
	s.entering.Lock()
	defer s.entering.Unlock()
	if !s.closed {
		s.goroutines.Add(1)
	}
	return !s.closed
}

// Endpoint returns the URL to give to clients, as in "http://127.0.0.1:4566".
func (s *Server) Endpoint() string { return s.endpoint }

// Close stops rotations where they are, kills the functions and closes the
// data. Requests under way are cut off, and nothing of them is left when it
// returns. With a DataFile, what was unfinished is
// taken up when a server is started on it again. A second Close returns what
// the first did.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.stop(errClosed)
		s.entering.Lock()
		s.closed = true
		s.entering.Unlock()
		s.rotations.close()
		errFunctions := s.functions.close()
		errHTTP := s.http.Close()
		s.goroutines.Wait()
		if err := errors.Join(errFunctions, errHTTP, s.store.Close()); err != nil {
			s.closeErr = fmt.Errorf("closing localaws: %w", err)
		}
	})
	return s.closeErr
}
