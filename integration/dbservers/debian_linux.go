package dbservers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// packing is the number of the way in which packages become a server. An image
// or a tree of another number is made anew.
const packing = "1"

// debianBase is what a server needs beside its own packages: a shell, and the
// few commands of the script that starts it.
var debianBase = []string{"dash", "coreutils"}

// debianUnread are files of packages that no server reads.
var debianUnread = []string{
	"./usr/share/doc", "./usr/share/man", "./usr/share/info", "./usr/share/locale", "./usr/share/i18n",
}

// debianTree returns the folder into which the packages are unpacked, to be
// entered by chroot, and unpacks them where that was not done yet.
func debianTree(ctx context.Context, rel release) (string, error) {
	if os.Geteuid() != 0 {
		return "", &missingError{what: "entering unpacked Debian packages needs root"}
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, rel.engine+"-"+rel.major+"-debian-"+packing)
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	unlock, err := lockCache(ctx, rel)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	work, err := ownFolder(cache)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	root := filepath.Join(work, "root")
	if err := unpackDebian(ctx, rel, work, root); err != nil {
		return "", err
	}
	if err := makeDevices(root); err != nil {
		return "", err
	}
	// The name appears at once and whole.
	if err := os.Rename(root, tree); err != nil {
		return "", err
	}
	return tree, nil
}

// makeDevices makes the few devices that a server opens.
func makeDevices(root string) error {
	for name, minor := range map[string]int{"null": 3, "zero": 5, "urandom": 9} {
		const memory = 1 // the major number of all three
		path := filepath.Join(root, "dev", name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, memory<<8|minor); err != nil {
			return &missingError{what: "making device files below " + root + " needs the capability MKNOD", err: err}
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// unpackDebian lets apt choose, fetch and check the packages, in a tree of its
// own that leaves the host's apt alone, and unpacks them into root. It runs
// none of the packages' scripts. work is a folder for passing files.
func unpackDebian(ctx context.Context, rel release, work, root string) error {
	if rel.suite == "" {
		return &missingError{what: "Debian has no packages of " + rel.engine + " " + rel.major}
	}
	for _, tool := range []string{"apt-get", "apt-config", "dpkg", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return &missingError{what: "unpacking Debian packages needs " + tool, err: err}
		}
	}
	if err := ensureKeyring(ctx); err != nil {
		return err
	}
	apt := filepath.Join(work, "apt")
	config, err := configureApt(ctx, rel, apt)
	if err != nil {
		return fmt.Errorf("configuring apt: %w", err)
	}
	env := []string{"APT_CONFIG=" + config, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	if err := run(ctx, env, nil, "apt-get", "-qq", "update"); err != nil {
		return fmt.Errorf("fetching the package lists of Debian %s: %w", rel.suite, err)
	}
	install := slices.Concat([]string{"-qq", "-y", "--download-only", "--no-install-recommends", "install"}, rel.packages, debianBase)
	if err := run(ctx, env, nil, "apt-get", install...); err != nil {
		return fmt.Errorf("fetching Debian packages: %w", err)
	}
	packages, err := filepath.Glob(filepath.Join(apt, "cache", "archives", "*.deb"))
	if err != nil {
		return err
	}
	packages = slices.DeleteFunc(packages, func(p string) bool { return matchesAny(filepath.Base(p), rel.unneeded) })
	if err := layOut(root); err != nil {
		return fmt.Errorf("laying out %s: %w", root, err)
	}
	return unpackAll(ctx, packages, slices.Concat(debianUnread, rel.unread), root)
}

func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := filepath.Match(pattern, name)
		return ok && err == nil
	})
}
