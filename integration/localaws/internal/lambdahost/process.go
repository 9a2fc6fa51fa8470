//go:build unix

package lambdahost

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// launcher starts processes from one operating system thread that lives as
// long as it does. On Linux the signal that a child gets at its parent's
// death comes already at the death of the parent's thread that started it,
// and Go's threads may end at any time.
type launcher struct {
	jobs  chan func()
	ended chan struct{}
}

func newLauncher() *launcher {
	l := &launcher{jobs: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range l.jobs {
			job()
		}
	}()
	return l
}

// start starts cmd.
func (l *launcher) start(cmd *exec.Cmd) error {
	result := make(chan error)
	l.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread's duty. Nothing may be started after it.
func (l *launcher) close() {
	close(l.jobs)
	<-l.ended
}

// process is a started process and the process group that it leads.
type process struct {
	cmd *exec.Cmd

	mu     sync.Mutex
	reaped bool
}

// kill sends SIGKILL to the whole group, unless it is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		killGroup(p.cmd.Process.Pid)
	}
}

// wait returns when the process has ended, and ends what it left in its group.
func (p *process) wait() {
	pid := p.cmd.Process.Pid
	if awaitZombie(pid) {
		// As long as nobody has reaped the process, no other group can have
		// got its number.
		p.mu.Lock()
		defer p.mu.Unlock()
		killGroup(pid)
		_ = p.cmd.Wait() // its error only repeats ProcessState
		p.reaped = true
		return
	}
	_ = p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	killGroup(pid)
	p.reaped = true
}

// hasEnded reports whether the process is known to have ended.
func (p *process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reaped || isZombie(p.cmd.Process.Pid)
}

// killGroup kills the group that a process leads. The one possible error is
// that none is left.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }

// exitReason tells how an ended process ended, as Lambda tells it.
func (p *process) exitReason() string {
	if state := p.cmd.ProcessState; !state.Success() {
		return "Runtime exited with error: " + state.String()
	}
	return "Runtime exited without providing a reason"
}

// peakMB returns the most memory that the process has held, in MB. Where it is
// still running and the system does not tell, it returns false.
func (p *process) peakMB() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		peak, ok := peakResident(p.cmd.Process.Pid)
		return wholeMB(peak), ok
	}
	usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, false
	}
	return wholeMB(int64(usage.Maxrss) * maxrssUnit), true //nolint:unconvert // an int32 on 32-bit systems
}

func wholeMB(bytes int64) int { return int((bytes + 1<<20 - 1) >> 20) }
