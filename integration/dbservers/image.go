package dbservers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// manifestWithin bounds the question whether a registry has an image. The
// image itself may take as long as it takes.
const manifestWithin = 10 * time.Second

// hubVariable names a mirror of Docker Hub; testcontainers heeds it too.
const hubVariable = "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX"

// hubName is the name by which an image of Docker Hub is asked for.
func hubName(image string) string {
	if prefix := os.Getenv(hubVariable); prefix != "" {
		return path.Join(prefix, image)
	}
	return image
}

// unreachable remembers, for the process, that no registry answered.
var unreachable struct {
	sync.Mutex
	err error
}

// available is nil where the engine holds image, or a registry offers it. It
// pulls nothing.
func available(ctx context.Context, cli *client.Client, image string) error {
	if held, err := holds(ctx, cli, image); held || err != nil {
		return err
	}
	unreachable.Lock()
	defer unreachable.Unlock()
	if unreachable.err != nil {
		return fmt.Errorf("no registry could be reached: %w", unreachable.err)
	}
	asking, cancel := context.WithTimeout(ctx, manifestWithin)
	defer cancel()
	_, err := cli.DistributionInspect(asking, image, client.DistributionInspectOptions{})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("asking the registry for %s: %w", image, err)
	// A registry that has no such image has answered, and a caller who gave
	// up has proven nothing.
	if !cerrdefs.IsNotFound(err) && ctx.Err() == nil {
		unreachable.err = err
	}
	return err
}

// holds reports whether the engine has the image.
func holds(ctx context.Context, cli *client.Client, image string) (bool, error) {
	_, err := cli.ImageInspect(ctx, image)
	switch {
	case err == nil:
		return true, nil
	case cerrdefs.IsNotFound(err):
		return false, nil
	}
	return false, fmt.Errorf("asking the engine for %s: %w", image, err)
}

// An origin is an image that can be run, its description for people, and the
// volume that its servers share.
type origin struct {
	image, told, volume string
}

// image returns the official image where it can be had, else the one made of
// Debian packages, which is made where it is missing.
func (e *engine) image(ctx context.Context, rel release) (origin, error) {
	official := hubName(rel.image)
	refused := available(ctx, e.client.Client, official)
	if refused == nil {
		return origin{image: official, told: "container " + official, volume: sharedBy(rel, rel.image)}, nil
	}
	made, err := e.debianImage(ctx, rel)
	var missing *missingError
	if errors.As(err, &missing) {
		return origin{}, &missingError{what: "no image of " + rel.engine + " " + rel.major + " can be had", err: errors.Join(refused, err)}
	}
	if err != nil {
		return origin{}, err
	}
	// An image of that name may be made anew, with other packages.
	seen, err := e.client.ImageInspect(ctx, made)
	if err != nil {
		return origin{}, fmt.Errorf("looking at the image %s: %w", made, err)
	}
	return origin{
		// With its registry named, testcontainers puts no mirror in front.
		image:  "docker.io/" + made,
		told:   "container " + made + " (Debian packages)",
		volume: sharedBy(rel, seen.ID),
	}, nil
}

// sharedBy names the volume that the servers of one image share: its data
// folder is of that image's making.
func sharedBy(rel release, image string) string {
	sum := sha256.Sum256([]byte(dataMade + image))
	return fmt.Sprintf("dbrotation-%s-%s-%x", rel.engine, rel.major, sum[:6])
}
