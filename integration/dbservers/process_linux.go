package dbservers

import "syscall"

// attributes make the server the home's: its root, its user; and an end with
// the process that started it, however that ends. In a group of its own the
// server does not hear the terminal's interrupt, which is for its owner.
func (h home) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Chroot: h.root, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if h.user != nil {
		a.Credential = &syscall.Credential{Uid: uint32(h.user.uid), Gid: uint32(h.user.gid)}
	}
	return a
}
