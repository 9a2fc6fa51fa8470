//go:build !unix

package dbservers

import "syscall"

// attributes are none: there is no chroot and no user to change to.
func (h home) attributes() *syscall.SysProcAttr { return nil }
