//go:build unix && !linux

package dbservers

import "syscall"

// attributes make the server the home's. It stays in the group of its owner,
// and so hears the terminal's interrupt too.
func (h home) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Chroot: h.root}
	if h.user != nil {
		a.Credential = &syscall.Credential{Uid: uint32(h.user.uid), Gid: uint32(h.user.gid)}
	}
	return a
}
