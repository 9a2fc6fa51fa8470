package dbservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// findHome finds binaries of the release on this machine, or makes them.
func findHome(ctx context.Context, rel release) (home, error) {
	if bin, ok := installed(ctx, rel); ok {
		as, err := serverAccount(rel)
		if err != nil {
			return home{}, err
		}
		shared, err := sharedWith(filepath.Join(bin, rel.program))
		if err != nil {
			return home{}, err
		}
		return home{bin: filepath.ToSlash(bin), parent: os.TempDir(), shared: shared, user: as, told: "local process " + bin}, nil
	}
	root, err := debianTree(ctx, rel)
	var missing *missingError
	if errors.As(err, &missing) {
		return home{}, &missingError{
			what: rel.engine + " " + rel.major + " is not installed" + rel.advice(),
			err:  err,
		}
	}
	if err != nil {
		return home{}, fmt.Errorf("unpacking %s %s: %w", rel.engine, rel.major, err)
	}
	return home{
		bin:    rel.binaries,
		root:   root,
		parent: filepath.Join(root, "srv"),
		shared: filepath.Join(root, "srv", "shared-"+dataMade),
		user:   &account{serverUser, serverUser},
		told:   "local process " + root + " (Debian packages)",
	}, nil
}

// advice says how to install the release, where a package of Debian's does.
func (rel release) advice() string {
	if rel.suite == "" {
		return ""
	}
	return fmt.Sprintf(" (on Debian %s: apt-get install %s)", rel.suite, strings.Join(rel.packages, " "))
}

// installed returns the folder of the release's binaries, where they are
// installed.
func installed(ctx context.Context, rel release) (string, bool) {
	folders := append([]string{rel.binaries}, rel.elsewhere...)
	if found, err := exec.LookPath(rel.program); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
	}
	for _, folder := range folders {
		if isVersion(ctx, filepath.Join(folder, rel.program), rel.major) {
			return folder, true
		}
	}
	return "", false
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)*`)

// isVersion reports whether program is there and of the version major.
func isVersion(ctx context.Context, program, major string) bool {
	if _, err := os.Stat(program); err != nil {
		return false
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	return err == nil && strings.HasPrefix(versionNumber.FindString(string(out))+".", major+".")
}

// serverAccount is the user that runs a server where this process is root's:
// the engine's own, else nobody. Database servers do not run as root.
func serverAccount(rel release) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup(rel.account)
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("finding a user for the server: %w", err)
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return nil, fmt.Errorf("finding a user for the server: %w", err)
	}
	gid, err := strconv.Atoi(found.Gid)
	if err != nil {
		return nil, fmt.Errorf("finding a user for the server: %w", err)
	}
	return &account{uid, gid}, nil
}
