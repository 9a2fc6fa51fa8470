//go:build !unix

package dbservers

import "os"

// alive reports whether a process has this id.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}
