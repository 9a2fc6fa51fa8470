package dbservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// releases are those of one engine, the oldest first.
type releases []release

func (l releases) newest() release { return l[len(l)-1] }

// versions are the names of the releases, the oldest first.
func (l releases) versions() []string {
	var versions []string
	for _, r := range l {
		versions = append(versions, r.major)
	}
	return versions
}

// named is a version as it is named; that of the newest, where none is.
func (l releases) named(version string) string {
	if version == "" {
		return l.newest().major
	}
	return version
}

// find returns the release of a version; the newest, where none is named.
func (l releases) find(version string) (release, error) {
	for _, r := range l {
		if r.major == l.named(version) {
			return r, nil
		}
	}
	return release{}, fmt.Errorf("version %q is not known here; use one of %s", version, strings.Join(l.versions(), ", "))
}

// tested are the versions that a run of the tests holds: the newest and the
// oldest that can be had here, or with DBROTATION_ALL=1 in the environment all
// of them.
func (l releases) tested() []string {
	all := l.obtainable().versions()
	if os.Getenv("DBROTATION_ALL") == "1" || len(all) < 3 {
		return all
	}
	return []string{all[0], all[len(all)-1]}
}

// obtainable are the releases that can be had on this machine.
func (l releases) obtainable() releases {
	var had releases
	for _, r := range l {
		if obtainable(r) == nil {
			had = append(had, r)
		}
	}
	return had
}

// obtainable says why a server of the release cannot be had on this machine. A
// version that Debian carries counts as one that can: where it cannot be
// started all the same, that is a failure, and not a version less.
func obtainable(rel release) error {
	if rel.suite != "" {
		return nil
	}
	w, err := wayFromEnvironment()
	if err != nil {
		// Whoever starts a server is told.
		return nil //nolint:nilerr // See above.
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	if w != containerWay {
		if _, ok := installed(ctx, rel); ok {
			return nil
		}
	}
	if w == processWay {
		return &missingError{what: rel.engine + " " + rel.major + " is not installed"}
	}
	e, err := theEngine()
	var missing *missingError
	if errors.As(err, &missing) {
		return missing
	}
	if err != nil {
		return nil //nolint:nilerr // As above.
	}
	return available(ctx, e.client.Client, hubName(rel.image))
}

// Unavailable returns one line for each version that the tests leave out
// because this machine cannot have it, with the reason.
func Unavailable() []string {
	var lines []string
	for _, l := range []releases{postgresReleases, mysqlReleases, mariadbReleases, documentdbReleases} {
		for _, r := range l {
			if err := obtainable(r); err != nil {
				lines = append(lines, fmt.Sprintf("%s %s: only as the image %s: %v", r.engine, r.major, r.image, err))
			}
		}
	}
	return lines
}
