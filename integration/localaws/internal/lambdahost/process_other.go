//go:build unix && !linux

package lambdahost

import (
	"runtime"
	"syscall"
)

// maxrssUnit is what getrusage counts ru_maxrss in, in bytes.
var maxrssUnit = func() int64 {
	if runtime.GOOS == "darwin" {
		return 1
	}
	return 1 << 10
}()

// processAttributes make a process the leader of a group of its own.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitZombie does not wait here: only Linux has a call for it that Go offers.
func awaitZombie(int) bool { return false }

// isZombie is false here: that the process has ended is known when it is reaped.
func isZombie(int) bool { return false }

// peakResident is not known for a process that is still running.
func peakResident(int) (bytesUsed int64, ok bool) { return 0, false }
