package dbservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// The labels of our containers and networks: the engine, and who started it where.
const (
	engineLabel = "dbrotation.dbservers.engine"
	ownerLabel  = "dbrotation.dbservers.pid"
	hostLabel   = "dbrotation.dbservers.host"
)

// What is left by a run that was killed is removed once it is older than
// leftAfter; where the run's process cannot be looked up from here, once it is
// older than forgottenAfter.
const (
	leftAfter      = time.Hour
	forgottenAfter = 24 * time.Hour
)

func ownerLabels(engine string) map[string]string {
	host, _ := os.Hostname()
	return map[string]string{
		engineLabel: engine,
		ownerLabel:  strconv.Itoa(os.Getpid()),
		hostLabel:   host,
	}
}

// leftover reports whether what the process pid on host made at the time of
// made is nobody's any more. A demo that is left on for a day on this machine
// is still its owner's.
func leftover(host, pid string, made time.Time) bool {
	age := time.Since(made)
	if here, err := os.Hostname(); err != nil || host != here {
		return age > forgottenAfter
	}
	owner, err := strconv.Atoi(pid)
	return age > leftAfter && (err != nil || !alive(owner))
}

// removeLeftovers removes the containers and networks of runs that were killed.
func (e *engine) removeLeftovers(ctx context.Context) error {
	found, err := e.client.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", engineLabel),
	})
	if err != nil {
		return fmt.Errorf("looking for containers of killed runs: %w", err)
	}
	var errs []error
	for _, c := range found.Items {
		if !leftover(c.Labels[hostLabel], c.Labels[ownerLabel], time.Unix(c.Created, 0)) {
			continue
		}
		_, err := e.client.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		// Another run may be removing it too.
		if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, e.removeLeftLinks(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing what killed runs left: %w", err)
	}
	return nil
}

// foldersNamed begins the name of every folder of ours that is not to stay;
// the id of the process that made it follows.
const foldersNamed = "dbrotation-server-"

// ownFolder makes a folder in parent, and removes there what killed runs left.
func ownFolder(parent string) (string, error) {
	sweepFolders(parent)
	return os.MkdirTemp(parent, foldersNamed+strconv.Itoa(os.Getpid())+"-")
}

// sweepFolders removes the folders of runs that were killed. What cannot be
// removed may be another user's, and is in nobody's way.
func sweepFolders(parent string) {
	found, err := filepath.Glob(filepath.Join(parent, foldersNamed+"*"))
	if err != nil {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		return
	}
	for _, folder := range found {
		info, err := os.Stat(folder)
		if err != nil {
			continue
		}
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), foldersNamed), "-")
		if leftover(host, pid, info.ModTime()) {
			_ = os.RemoveAll(folder)
		}
	}
}
