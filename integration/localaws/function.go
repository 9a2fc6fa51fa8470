package localaws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

// Function is what RotateSecret can invoke: an executable, or a function of
// this process.
type Function struct {
	// Name is the last part of the ARN; see [FunctionARN].
	Name string
	// Path is an executable that speaks the Lambda Runtime API. Either Path or
	// Handler is set.
	Path string
	// Handler serves the event in this process. The time-out is its context's
	// deadline. It calls back with [Server.FunctionCredentials].
	Handler func(ctx context.Context, event []byte) error
	// Env is added to the environment of the executable, which besides holds
	// only what Lambda sets and the endpoint of this server.
	Env map[string]string
	// Timeout is that of one invocation; default 60 s.
	Timeout time.Duration
	// MemoryMB is told to the executable, not enforced; default 128.
	MemoryMB int
}

// DefaultTimeout is the time-out of a function that sets none.
const DefaultTimeout = time.Minute

const defaultMemoryMB = 128

var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

// AddFunction makes a function that can be invoked in every Region. Rotations
// that an earlier process left unfinished in the data file and that belong to
// this function are taken up again.
func (s *Server) AddFunction(f Function) error {
	if !functionName.MatchString(f.Name) {
		return fmt.Errorf("adding function %q: a name has 1 to 64 letters, digits, hyphens and underscores", f.Name)
	}
	if (f.Path == "") == (f.Handler == nil) {
		return fmt.Errorf("adding function %s: set either Path or Handler", f.Name)
	}
	if f.Timeout < 0 {
		return fmt.Errorf("adding function %s: its Timeout is negative", f.Name)
	}
	if f.Timeout == 0 {
		f.Timeout = DefaultTimeout
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = defaultMemoryMB
	}
	fn := &function{
		Function: f,
		server:   s,
		log:      s.functions.log(f.Name),
		hosts:    make(map[string]*lambdahost.Function),
		running:  make(map[string]*invoking),
	}
	if f.Path != "" {
		// Made early so that a path that cannot run is an error here.
		if _, err := fn.host("us-east-1"); err != nil {
			return fmt.Errorf("adding function %s: %w", f.Name, err)
		}
	}
	if err := s.functions.add(fn); err != nil {
		return errors.Join(fmt.Errorf("adding function %s: %w", f.Name, err), fn.close())
	}
	s.resumeRotations(f.Name)
	return nil
}

// FunctionCredentials returns the credentials of a function's role, for a
// Handler that calls back through an SDK client. They are the same for the life
// of the server, and exist before the function is added.
func (s *Server) FunctionCredentials(name string) (accessKey, secretKey, sessionToken string) {
	c := s.credentials.ofFunction(name)
	return c.accessKey, c.secretKey, c.sessionToken
}

// FunctionLog returns all that the function has written to its standard output
// and error, and the platform's START, END and REPORT lines.
func (s *Server) FunctionLog(name string) string { return s.functions.log(name).String() }

// KillFunction kills all processes of a function (SIGKILL), and cancels the
// context of its handlers. What they were doing fails.
func (s *Server) KillFunction(name string) {
	if fn := s.functions.named(name); fn != nil {
		fn.kill()
	}
}

// Invoke invokes a function in a Region with an event and waits for its end, as
// a user with lambda:InvokeFunction may do. The calls that the function makes
// are attributed to it as those of a rotation are; it is not among
// [Server.Invocations], and no rotation takes note of it. The error is the
// function's, or says why it was not invoked.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (s *Server) Invoke(ctx context.Context, region, name string, event []byte) error {
	if !regionName.MatchString(region) {
		return fmt.Errorf("invoking function %s: %q is not the name of a Region", name, region)
	}
	fn := s.functions.named(name)
	if fn == nil {
		return fmt.Errorf("invoking function %s: there is none of this name", name)
	}
	var step stepEvent
	_ = json.Unmarshal(event, &step) // an event of any other kind has no step
	return fn.invoke(ctx, &invoking{id: uuid.NewString(), region: region, secretARN: step.SecretID, step: step.Step}, event)
}

// functions are those of one server.
type functions struct {
	mu     sync.Mutex
	byName map[string]*function
	logs   map[string]*functionLog
	closed bool
	output func(name, line string)
}

func (fs *functions) add(fn *function) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return errClosed
	}
	if fs.byName[fn.Name] != nil {
		return errors.New("there is one of this name already")
	}
	if fs.byName == nil {
		fs.byName = make(map[string]*function)
	}
	fs.byName[fn.Name] = fn
	return nil
}

func (fs *functions) named(name string) *function {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byName[name]
}

// withARN returns the function that arn names in region, or nil. A qualifier
// (an alias or a version) names none: functions here have neither.
func (fs *functions) withARN(region, arn string) *function {
	name, ok := strings.CutPrefix(arn, FunctionARN(region, ""))
	if !ok {
		return nil
	}
	return fs.named(name)
}

func (fs *functions) log(name string) *functionLog {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	l := fs.logs[name]
	if l == nil {
		l = &functionLog{line: func(line string) { fs.output(name, line) }}
		if fs.logs == nil {
			fs.logs = make(map[string]*functionLog)
		}
		fs.logs[name] = l
	}
	return l
}

// close kills every function and takes no more.
func (fs *functions) close() error {
	fs.mu.Lock()
	fs.closed = true
	all := make([]*function, 0, len(fs.byName))
	for _, fn := range fs.byName {
		all = append(all, fn)
	}
	fs.mu.Unlock()
	var errs []error
	for _, fn := range all {
		errs = append(errs, fn.close())
	}
	return errors.Join(errs...)
}
