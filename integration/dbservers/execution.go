package dbservers

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
)

// An execution is a command that was started. outcome may be read once ended
// is closed.
type execution struct {
	cmd     *exec.Cmd
	ended   chan struct{}
	outcome error
}

// execute starts cmd and waits for it on a thread that lives as long as cmd
// does: Linux ends a child whose parent thread ends, and Go may end a thread
// at any time.
//
// https://github.com/golang/go/issues/27505
func execute(cmd *exec.Cmd) (*execution, error) {
	x := &execution{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			x.outcome = cmd.Wait()
			close(x.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return x, nil
}

func (x *execution) over() bool {
	select {
	case <-x.ended:
		return true
	default:
		return false
	}
}

// ending says how the command ended, which it has.
func (x *execution) ending() error {
	if x.outcome != nil {
		return x.outcome
	}
	return errors.New("in good order")
}

func (x *execution) signal(s syscall.Signal) error { return x.cmd.Process.Signal(s) }

// kill ends the command by force, and returns when it has ended.
func (x *execution) kill() {
	// It may have ended just now, which is as good.
	_ = x.cmd.Process.Kill()
	<-x.ended
}
