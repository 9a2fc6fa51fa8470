package lambdahost

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Lambda's defaults and quotas; see
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and
// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html.
const (
	defaultTimeout  = 3 * time.Second
	maxTimeout      = 15 * time.Minute
	defaultMemoryMB = 128
	maxMemoryMB     = 10240
	initLimit       = 10 * time.Second
)

// Config describes one function.
type Config struct {
	// Name is the function's name. It is required.
	Name string
	// ARN is what the function is told as its invoked ARN. It is required.
	ARN string
	// Path is the executable. Its folder is the working folder and the task
	// root. It is required.
	Path string
	// Region is the function's Region. It is required.
	Region string
	// Env is the function's configured environment. As in Lambda it may not
	// set what Lambda sets itself, TZ, PATH and LANG aside.
	Env map[string]string
	// Timeout is the time that one invocation may take. Zero means Lambda's
	// default of three seconds; the most is fifteen minutes.
	Timeout time.Duration
	// MemoryMB is the memory size that the function is told and that the log
	// reports. It is not enforced. Zero means Lambda's default of 128; the
	// most is 10240.
	MemoryMB int
	// Log receives what the processes write to their standard output and
	// error, and the platform's own lines: one Write per line, never two at
	// once. Nil discards them.
	Log io.Writer
}

// Function is an executable that is run as Lambda runs it. Its methods may be
// called from several goroutines at once.
type Function struct {
	config    Config
	log       *lineLog
	launch    *launcher
	initLimit time.Duration

	mu        sync.Mutex
	closed    bool
	sandboxes map[string]*sandbox
	idle      []*sandbox // the one that was used last is the last

	running sync.WaitGroup // invocations
	living  sync.WaitGroup // sandboxes, until nothing of them is left
}

// New checks the configuration, and that Path is an executable file. It
// starts no process. [Function.Close] must be called in the end.
func New(c Config) (*Function, error) {
	path, err := checkConfig(c)
	if err != nil {
		return nil, fmt.Errorf("configuring function %q: %w", c.Name, err)
	}
	c.Path = path
	c.Env = maps.Clone(c.Env)
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MemoryMB == 0 {
		c.MemoryMB = defaultMemoryMB
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return &Function{
		config:    c,
		log:       &lineLog{w: c.Log},
		launch:    newLauncher(),
		initLimit: initLimit,
		sandboxes: make(map[string]*sandbox),
	}, nil
}

// checkConfig names every fault of c at once and returns the absolute path of
// the executable.
func checkConfig(c Config) (path string, err error) {
	var faults []error
	if c.Name == "" {
		faults = append(faults, errors.New("give it a name"))
	}
	if c.ARN == "" {
		faults = append(faults, errors.New("give its ARN"))
	}
	if c.Region == "" {
		faults = append(faults, errors.New("give its Region"))
	}
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		faults = append(faults, fmt.Errorf("a timeout of %s is out of range: at most %s", c.Timeout, maxTimeout))
	}
	if c.MemoryMB < 0 || c.MemoryMB > maxMemoryMB {
		faults = append(faults, fmt.Errorf("a memory size of %d MB is out of range: at most %d", c.MemoryMB, maxMemoryMB))
	}
	if err := checkVariables(c.Env); err != nil {
		faults = append(faults, err)
	}
	path, err = executable(c.Path)
	if err != nil {
		faults = append(faults, err)
	}
	return path, errors.Join(faults...)
}

// executable returns the absolute path of a file that may be executed.
func executable(path string) (string, error) {
	if path == "" {
		return "", errors.New("give the path of its executable")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the executable: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("finding the executable: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("%s is not an executable file: build the function there, or set its mode", path)
	}
	return path, nil
}

// Kill sends SIGKILL to all processes of the function and returns when they
// are gone. Invocations that are running fail; the next one gets a new
// process.
func (f *Function) Kill() {
	f.mu.Lock()
	all := slices.Collect(maps.Values(f.sandboxes))
	f.idle = nil
	f.mu.Unlock()
	for _, s := range all {
		s.signalKill()
	}
	for _, s := range all {
		s.kill()
	}
}

// KillSandbox sends SIGKILL to the process of one sandbox and returns when it
// is gone. A sandbox that is unknown, or gone already, is no error.
func (f *Function) KillSandbox(id string) {
	f.mu.Lock()
	s := f.sandboxes[id]
	f.idle = slices.DeleteFunc(f.idle, func(i *sandbox) bool { return i.id == id })
	f.mu.Unlock()
	if s != nil {
		s.kill()
	}
}

// Close kills all processes, and returns when nothing of the function is
// left: no process, no listener, no goroutine, no invocation, no further line
// in the log. It must not be called from the callbacks of an [Invocation]. It
// returns the first error of writing to the log.
func (f *Function) Close() error {
	f.mu.Lock()
	again := f.closed
	f.closed = true
	f.mu.Unlock()
	f.Kill()
	f.running.Wait()
	f.living.Wait()
	if !again {
		f.launch.close()
	}
	if err := f.log.firstError(); err != nil {
		return fmt.Errorf("writing the log of function %q: %w", f.config.Name, err)
	}
	return nil
}

// enter counts an invocation in, unless the function is closed.
func (f *Function) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("invoking function %q: %w", f.config.Name, os.ErrClosed)
	}
	f.running.Add(1)
	return nil
}

// takeIdle returns the sandbox that was used last, or nil.
func (f *Function) takeIdle() *sandbox {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.idle) - 1
	if last < 0 {
		return nil
	}
	s := f.idle[last]
	f.idle = f.idle[:last]
	return s
}

// putIdle keeps a sandbox for the next invocation, unless it ended meanwhile.
func (f *Function) putIdle(s *sandbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sandboxes[s.id] == s && !s.isKilled() {
		f.idle = append(f.idle, s)
	}
}

// register makes a sandbox known, unless the function is closed.
func (f *Function) register(s *sandbox) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	f.sandboxes[s.id] = s
	f.living.Add(1)
	return nil
}

// forget is the opposite of register.
func (f *Function) forget(s *sandbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sandboxes, s.id)
	f.idle = slices.DeleteFunc(f.idle, func(i *sandbox) bool { return i == s })
}
