package dbservers

import (
	"context"
	"io/fs"
	"syscall"
)

// A recipe is what a place must know to run a server of some engine. Every
// path that a recipe gives out lies below its site.
type recipe struct {
	// release is what the server is made from.
	release release
	// files are written before the data folder is made; those that are
	// passing are removed once it is.
	files func(site) ([]file, error)
	// prepare makes the data folder, of the name data. The release alone
	// decides on its content: it is copied for later servers. Where it is nil,
	// settle makes the folder.
	prepare func(site) []string
	data    string
	// settle makes a new data folder this server's own, where it is not nil. It
	// reads the file of the name settling, if there is one, from its standard
	// input.
	settle   func(site) []string
	settling string
	// run serves in the foreground until it is told to stop.
	run func(site) []string
	// stopSignal makes the server cut its sessions off and end in good order;
	// endSignal makes it end soon, with all its processes, whatever becomes of
	// its data.
	stopSignal, endSignal syscall.Signal
}

// A release is one version of an engine, and where it is had from.
type release struct {
	engine, major string
	// port is the engine's usual port.
	port int
	// image is the official image, pinned by a tag that never moves.
	image string
	// suite and packages are Debian's: the release that carries this version,
	// and the packages of the server. What they depend on comes along, but for
	// the packages whose file name matches unneeded and the files that match
	// unread. Where suite is empty, Debian carries no such version.
	suite            string
	packages         []string
	unneeded, unread []string
	// binaries is where those packages, and the official image, put the
	// server's binaries; elsewhere is where others install them.
	binaries  string
	elsewhere []string
	// program is the server's own binary, which knows --version.
	program string
	// account is the user that installed binaries run as, where there is one
	// of that name.
	account string
}

// A site is where a recipe is carried out, as the server itself sees it.
type site struct {
	// bin is the folder of the binaries, dir the server's own folder. Both
	// have forward slashes and no trailing one.
	bin, dir string
	// listen and port are what the server listens on.
	listen string
	port   int
	// host is the name by which clients reach the server.
	host string
	// peer is the server beside which this one was opened, if any.
	peer peer
}

// A peer is where one server reaches another.
type peer struct {
	host string
	port int
}

// A file is one of the server's files, named relative to its site's dir.
type file struct {
	name    string
	content []byte
	mode    fs.FileMode
	passing bool
}

// A place is somewhere a server runs: a container, or this machine. Its
// methods may be called from several goroutines.
type place interface {
	// source describes the place, for people.
	source() string
	// address is where clients reach the server. It never changes.
	address() (host string, port int)
	// start runs the server, and returns when it is running; it may not serve
	// yet. Starting a running server does nothing.
	start(ctx context.Context) error
	// stop ends the server and keeps its data. It returns when it has ended.
	stop(ctx context.Context) error
	// running is nil while the server runs, and else says how it ended.
	running(ctx context.Context) error
	// write replaces files, of a running or a stopped server.
	write(ctx context.Context, files ...file) error
	// read returns a file of the server's, as it is now. It is an
	// fs.ErrNotExist where there is none of that name.
	read(ctx context.Context, name string) ([]byte, error)
	// beside opens another place of the same kind, whose server reaches this
	// one's at its site's peer for as long as both are there, also after a
	// stop and a start of either.
	beside(ctx context.Context, r recipe) (place, error)
	// close ends the server and removes it with its data.
	close() error
}
