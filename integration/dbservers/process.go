package dbservers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is the place that is this machine itself.
type process struct {
	recipe recipe
	home   home
	own    site
	dir    string

	mu      sync.Mutex
	current *execution
}

var _ place = (*process)(nil)

// A home is where a server's binaries are found, and how they are run.
type home struct {
	// bin is the folder of the binaries, as seen after chroot.
	bin string
	// root is entered by chroot where it is not empty.
	root string
	// parent is the folder, on the host, in which the server's own folder is
	// made.
	parent string
	// shared is the folder, on the host, of what servers of this home copy.
	shared string
	// user runs the server; nil is the user of this process.
	user *account
	told string
}

// account is a user of this machine by number.
type account struct{ uid, gid int }

// openProcess starts the recipe's server from what is installed, else from
// Debian's packages.
func openProcess(ctx context.Context, r recipe, other peer) (place, error) {
	h, err := findHome(ctx, r.release)
	if err != nil {
		return nil, err
	}
	dir, err := ownFolder(h.parent)
	if err != nil {
		return nil, fmt.Errorf("making the server's folder: %w", err)
	}
	p := &process{recipe: r, home: h, dir: dir}
	if err := p.furnish(ctx, other); err != nil {
		return nil, errors.Join(fmt.Errorf("running %s: %w", h.told, err), p.close())
	}
	return p, nil
}

// furnish fills the server's folder, makes the data folder and starts the
// server.
func (p *process) furnish(ctx context.Context, other peer) error {
	port, err := freePort(netip.MustParseAddr(loopback))
	if err != nil {
		return err
	}
	dir := p.dir
	if p.home.root != "" {
		below, err := filepath.Rel(p.home.root, dir)
		if err != nil {
			return err
		}
		dir = "/" + below
	}
	p.own = site{bin: p.home.bin, dir: filepath.ToSlash(dir), listen: loopback, port: port, host: loopback, peer: other}
	if err := p.home.give(p.dir); err != nil {
		return err
	}
	files, err := p.recipe.files(p.own)
	if err != nil {
		return err
	}
	if err := p.write(ctx, files...); err != nil {
		return err
	}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	for _, f := range files {
		if f.passing {
			if err := os.Remove(filepath.Join(p.dir, f.name)); err != nil {
				return err
			}
		}
	}
	return p.start(ctx)
}

// prepare makes the data folder: it copies the one that an earlier server left,
// or makes one and leaves a copy, and settles it.
func (p *process) prepare(ctx context.Context) error {
	if p.recipe.prepare != nil {
		if err := p.copyOrMake(ctx); err != nil {
			return err
		}
	}
	if p.recipe.settle == nil {
		return nil
	}
	if err := p.runOnce(ctx, p.recipe.settle(p.own), p.recipe.settling); err != nil {
		return fmt.Errorf("settling the data folder: %w", err)
	}
	return nil
}

func (p *process) copyOrMake(ctx context.Context) error {
	data := filepath.Join(p.dir, p.recipe.data)
	made := filepath.Join(p.home.shared, p.recipe.data)
	err := copyFolder(made, data, p.home.user)
	if errors.Is(err, os.ErrNotExist) {
		if err := p.runOnce(ctx, p.recipe.prepare(p.own), ""); err != nil {
			return fmt.Errorf("making the data folder: %w", err)
		}
		err = keepFolder(data, made)
	}
	if err != nil {
		return fmt.Errorf("copying the data folder: %w", err)
	}
	return nil
}

// runOnce runs a command to its end, with a file of the server's as its
// standard input where one is named.
func (p *process) runOnce(ctx context.Context, words []string, input string) error {
	told, err := os.Create(filepath.Join(p.dir, prepareLog))
	if err != nil {
		return err
	}
	defer func() { _ = told.Close() }()
	cmd := p.home.command(words, told)
	if input != "" {
		in, err := os.Open(filepath.Join(p.dir, input))
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		cmd.Stdin = in
	}
	x, err := execute(cmd)
	if err != nil {
		return err
	}
	select {
	case <-x.ended:
	case <-ctx.Done():
		x.kill()
		return ctx.Err()
	}
	if x.outcome != nil {
		text, _ := os.ReadFile(told.Name())
		return fmt.Errorf("%w: %s", x.outcome, tail(string(text)))
	}
	return nil
}

func (p *process) source() string { return p.home.told }

func (p *process) address() (string, int) { return loopback, p.own.port }

func (p *process) start(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && !p.current.over() {
		return nil
	}
	// Opened for appending and given to the server as it is: no pipe, and no
	// goroutine of ours, stands between the server and its log.
	out, err := os.OpenFile(filepath.Join(p.dir, serverLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	// A server may open it once more by itself, for the same text.
	if err := p.home.give(out.Name()); err != nil {
		return err
	}
	x, err := execute(p.home.command(p.recipe.run(p.own), out))
	if err != nil {
		return err
	}
	p.current = x
	return nil
}

func (p *process) stop(ctx context.Context) error { return p.end(ctx, p.recipe.stopSignal) }

// end signals the server to end, and returns when it has.
func (p *process) end(ctx context.Context, signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil || p.current.over() {
		return nil
	}
	if err := p.current.signal(signal); err != nil {
		return err
	}
	late := time.NewTimer(endWithin)
	defer late.Stop()
	select {
	case <-p.current.ended:
		return nil
	case <-late.C:
	case <-ctx.Done():
	}
	p.current.kill()
	return ctx.Err()
}

func (p *process) running(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return errors.New("the server was never started")
	}
	if p.current.over() {
		return fmt.Errorf("the server ended: %w", p.current.ending())
	}
	return nil
}

func (p *process) write(_ context.Context, files ...file) error {
	for _, f := range files {
		if err := p.writeOne(f); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	return nil
}

// writeOne replaces a file at once: the server may be reading it.
func (p *process) writeOne(f file) error {
	name := filepath.Join(p.dir, f.name)
	next := name + ".next"
	if err := os.WriteFile(next, f.content, f.mode); err != nil {
		return err
	}
	if err := p.home.give(next); err != nil {
		return err
	}
	return os.Rename(next, name)
}

func (p *process) read(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(p.dir, name))
}

func (p *process) beside(ctx context.Context, r recipe) (place, error) {
	return openProcess(ctx, r, peer{host: loopback, port: p.own.port})
}

func (p *process) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	return errors.Join(p.end(ctx, p.recipe.endSignal), os.RemoveAll(p.dir))
}

// give makes path the server's own.
func (h home) give(path string) error {
	if h.user == nil {
		return nil
	}
	return os.Chown(path, h.user.uid, h.user.gid)
}

// command is words as the server's user, in its root. It inherits nothing of
// our environment, where PGDATA and its like may be.
func (h home) command(words []string, out *os.File) *exec.Cmd {
	return &exec.Cmd{
		Path:        words[0],
		Args:        words,
		Dir:         "/",
		Env:         []string{"PATH=" + h.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"},
		Stdout:      out,
		Stderr:      out,
		SysProcAttr: h.attributes(),
	}
}
