package dbservers

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
)

// The key that Debian signs its archive with, and the package that brings it.
const (
	debianKeyring        = "/usr/share/keyrings/debian-archive-keyring.gpg"
	debianKeyringPackage = "debian-archive-keyring"
)

// debianMirror is used where the host's own sources name no mirror of Debian.
const debianMirror = "http://deb.debian.org/debian"

// ensureKeyring installs Debian's key where it is missing and may be had.
func ensureKeyring(ctx context.Context) error {
	if _, err := os.Stat(debianKeyring); err == nil {
		return nil
	}
	missing := &missingError{what: "the package " + debianKeyringPackage + " is not installed (apt-get install " + debianKeyringPackage + ")"}
	if os.Geteuid() != 0 {
		return missing
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	install := []string{"-qq", "-y", "--no-install-recommends", "install", debianKeyringPackage}
	if err := run(ctx, env, nil, "apt-get", install...); err == nil {
		return nil
	}
	// The host may never have fetched its lists.
	if missing.err = run(ctx, env, nil, "apt-get", "-qq", "update"); missing.err != nil {
		return missing
	}
	if missing.err = run(ctx, env, nil, "apt-get", install...); missing.err != nil {
		return missing
	}
	return nil
}

// configureApt writes the configuration of an apt that lives in dir alone, and
// returns its path. The host's mirror and proxy are taken over.
func configureApt(ctx context.Context, rel release, dir string) (string, error) {
	for _, folder := range []string{"lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "etc/trusted.gpg.d"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return "", err
		}
	}
	var proxies bytes.Buffer
	if err := run(ctx, nil, &proxies, "apt-config", "dump", "--format", "%F \"%v\";%n", "Acquire::http", "Acquire::https"); err != nil {
		return "", err
	}
	config := strings.Join([]string{
		`Dir::Etc "` + dir + `/etc";`,
		`Dir::Etc::sourcelist "` + dir + `/etc/sources.list";`,
		`Dir::Etc::sourceparts "` + dir + `/etc/sources.list.d";`,
		`Dir::Etc::parts "` + dir + `/etc/apt.conf.d";`,
		`Dir::Etc::preferencesparts "` + dir + `/etc/preferences.d";`,
		`Dir::State "` + dir + `";`,
		`Dir::State::lists "` + dir + `/lists";`,
		`Dir::State::status "` + dir + `/status";`,
		`Dir::Cache "` + dir + `/cache";`,
		`Acquire::Languages "none";`,
		`Acquire::Retries "3";`,
		`APT::Sandbox::User "";`,
		// A mirror may be frozen, and sid's lists are valid for a week only.
		// Their signature is checked as ever; it is their age that is not.
		`Acquire::Check-Valid-Until "false";`,
		`Acquire::Check-Date "false";`,
		proxies.String(),
	}, "\n")
	sources := "deb [signed-by=" + debianKeyring + "] " + hostMirror(ctx) + " " + rel.suite + " main\n"
	path := filepath.Join(dir, "apt.conf")
	for name, content := range map[string]string{
		path:                                   config,
		filepath.Join(dir, "etc/sources.list"): sources,
		filepath.Join(dir, "status"):           "",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	return path, nil
}

// hostMirror returns the mirror that the host itself fetches Debian from.
func hostMirror(ctx context.Context) string {
	var targets bytes.Buffer
	if err := run(ctx, nil, &targets, "apt-get", "indextargets", "--format", "$(REPO_URI)"); err != nil {
		return debianMirror
	}
	for uri := range strings.Lines(targets.String()) {
		// Others on the list: security updates, other distributions' archives.
		if uri = strings.TrimRight(strings.TrimSpace(uri), "/"); strings.HasSuffix(uri, "/debian") {
			return uri
		}
	}
	return debianMirror
}
