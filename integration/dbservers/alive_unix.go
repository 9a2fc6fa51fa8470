//go:build unix

package dbservers

import (
	"errors"
	"syscall"
)

// alive reports whether a process has this id.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
