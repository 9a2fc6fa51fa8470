package dbservers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	mobycontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// Where a server lives in its container. The volume is a real file system
// even where the container's own is an overlay, and outlives a stop. Another
// volume, which all servers of an image share, holds a data folder to copy.
const (
	volumesPath  = "/srv"
	serverVolume = "dbrotation"
	sharedVolume = "dbrotation-shared"
	serverFolder = "server"
	sharedFolder = "data"
	containerDir = volumesPath + "/" + serverVolume + "/" + serverFolder
	sharedDir    = volumesPath + "/" + sharedVolume + "/" + sharedFolder
)

// The files that every place has.
const (
	serverLog    = "server.log"
	prepareLog   = "prepare.log"
	preparedMark = "prepared"
)

// serverUser is the user and group of the server in a container. The official
// images fix these numbers for postgres and mysql; the images made here follow
// them.
//
// https://github.com/docker-library/postgres
// https://github.com/docker-library/mysql
// https://github.com/MariaDB/mariadb-docker
const serverUser = 999

// How long a server is given to end, and a container to go.
const (
	endWithin    = 15 * time.Second
	removeWithin = time.Minute
)

// portTries is how often another port is tried after one was taken by somebody
// else between our choice and its use.
const portTries = 5

// container is the place that is a container.
type container struct {
	engine *engine
	made   testcontainers.Container
	told   string
	port   int

	mu sync.Mutex
	// link is nil until the container is on one.
	link *link
}

var _ place = (*container)(nil)

// openContainer starts the recipe's server in a container.
func openContainer(ctx context.Context, r recipe) (place, error) {
	e, err := theEngine()
	if err != nil {
		return nil, err
	}
	return e.open(ctx, r, nil, peer{})
}

// openPublished is [openContainer] with a network of the container's own, of
// which a port is published, as on machines whose network it cannot share.
func openPublished(ctx context.Context, r recipe) (place, error) {
	e, err := theEngine()
	if err != nil {
		return nil, err
	}
	apart := *e
	apart.shares = false
	return apart.open(ctx, r, nil, peer{})
}

// open starts the recipe's server, which is on the link where one is given, and
// reaches another one as its peer.
func (e *engine) open(ctx context.Context, r recipe, on *link, other peer) (place, error) {
	from, err := e.image(ctx, r.release)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		c, err := e.run(ctx, from, r, on, other)
		if err == nil {
			return c, nil
		}
		if try == portTries || !portTaken(err) {
			return nil, fmt.Errorf("running %s: %w", from.told, err)
		}
	}
}

// run makes a container, fills it and starts it. It leaves none behind where
// it fails.
func (e *engine) run(ctx context.Context, from origin, r recipe, on *link, other peer) (*container, error) {
	port, err := freePort(e.bind)
	if err != nil {
		return nil, err
	}
	inside := site{bin: r.release.binaries, dir: containerDir, listen: "0.0.0.0", port: r.release.port, host: e.host, peer: other}
	if e.shares {
		inside.listen, inside.port = loopback, port
	}
	files, err := r.files(inside)
	if err != nil {
		return nil, err
	}
	exposed := network.MustParsePort(strconv.Itoa(inside.port) + "/tcp")
	request := testcontainers.ContainerRequest{
		Image:      from.image,
		Entrypoint: []string{"/bin/sh", "-c", containerScript(r, inside, files)},
		Labels:     ownerLabels(r.release.engine),
		ConfigModifier: func(config *mobycontainer.Config) {
			config.User = fmt.Sprintf("%d:%d", serverUser, serverUser)
			config.StopSignal = strconv.Itoa(int(r.stopSignal))
		},
		HostConfigModifier: func(host *mobycontainer.HostConfig) {
			if e.shares {
				host.NetworkMode = network.NetworkHost
			} else {
				host.PortBindings = network.PortMap{exposed: {{HostIP: e.bind, HostPort: strconv.Itoa(port)}}}
			}
			host.Mounts = append(host.Mounts,
				mount.Mount{Type: mount.TypeVolume, Target: volumesPath + "/" + serverVolume},
				mount.Mount{Type: mount.TypeVolume, Target: volumesPath + "/" + sharedVolume, Source: from.volume})
		},
	}
	if !e.shares {
		request.ExposedPorts = []string{exposed.String()}
	}
	made, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Logger: log.NewNoopLogger(), ContainerRequest: request,
	})
	c := &container{engine: e, made: made, told: from.told, port: port}
	if err == nil {
		err = c.write(ctx, files...)
	}
	if err == nil && on != nil {
		err = c.join(ctx, on)
	}
	if err == nil {
		err = made.Start(ctx)
	}
	if err == nil {
		return c, nil
	}
	if made != nil {
		err = errors.Join(err, c.close())
	}
	return nil, err
}

// containerScript makes the data folder where there is none yet, and becomes
// the server. The server writes its log to a file, not to a pipe: a reader of
// the file misses nothing.
func containerScript(r recipe, s site, files []file) string {
	passing := []string{prepareLog}
	for _, f := range files {
		if f.passing {
			passing = append(passing, f.name)
		}
	}
	data, shared := shellWords(r.data), shellWords(sharedDir+"/"+r.data)
	prepare := "true"
	if r.prepare != nil {
		// The shared copy appears at once and whole; who comes second drops his.
		mine := shellWords(sharedDir + "/" + rand.Text())
		prepare = "if [ -d " + shared + " ]; then cp -r " + shared + " " + data + "\n" +
			"else " + shellWords(r.prepare(s)...) + " && cp -r " + data + " " + mine + " && { mv -n -T " + mine + " " + shared + "; rm -rf " + mine + "; }\n" +
			"fi"
	}
	settle := "true"
	if r.settle != nil {
		settle = shellWords(r.settle(s)...)
	}
	if r.settling != "" {
		settle += " <" + shellWords(r.settling)
	}
	return strings.Join([]string{
		"set -e",
		"cd " + shellWords(s.dir),
		"if [ ! -e " + preparedMark + " ]; then {",
		prepare + " && " + settle,
		"} >" + prepareLog + " 2>&1 || { cat " + prepareLog + " >>" + serverLog + "; exit 1; }",
		"rm -f " + shellWords(passing...),
		": >" + preparedMark,
		"fi",
		"exec " + shellWords(r.run(s)...) + " >>" + serverLog + " 2>&1",
	}, "\n")
}

// shellWords quotes words for a POSIX shell.
func shellWords(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// portTaken reports whether the engine could not publish the port, in the
// words of its versions.
func portTaken(err error) bool {
	for _, words := range []string{"port is already allocated", "address already in use", "ports are not available"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

func (c *container) source() string { return c.told }

func (c *container) address() (string, int) { return c.engine.host, c.port }

func (c *container) start(ctx context.Context) error { return c.made.Start(ctx) }

func (c *container) stop(ctx context.Context) error {
	within := endWithin
	return c.made.Stop(ctx, &within)
}

func (c *container) running(ctx context.Context) error {
	seen, err := c.engine.client.ContainerInspect(ctx, c.made.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("looking at the container: %w", err)
	}
	if state := seen.Container.State; !state.Running {
		return fmt.Errorf("the server ended with exit code %d %s", state.ExitCode, state.Error)
	}
	return nil
}

func (c *container) write(ctx context.Context, files ...file) error {
	content, err := tarOf(files)
	if err != nil {
		return fmt.Errorf("packing files: %w", err)
	}
	_, err = c.engine.client.CopyToContainer(ctx, c.made.GetContainerID(), client.CopyToContainerOptions{
		DestinationPath: volumesPath,
		Content:         content,
	})
	if err != nil {
		return fmt.Errorf("copying files to the container: %w", err)
	}
	return nil
}

// tarOf packs files, and the folders in the volumes, as the server's own.
func tarOf(files []file) (*bytes.Buffer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	now := time.Now()
	for _, folder := range []string{path.Join(serverVolume, serverFolder), path.Join(sharedVolume, sharedFolder)} {
		if err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o700, Uid: serverUser, Gid: serverUser, ModTime: now,
		}); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(serverVolume, serverFolder, f.name), Size: int64(len(f.content)),
			Mode: int64(f.mode.Perm()), Uid: serverUser, Gid: serverUser, ModTime: now,
		}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	return &b, w.Close()
}

func (c *container) read(ctx context.Context, name string) ([]byte, error) {
	copied, err := c.engine.client.CopyFromContainer(ctx, c.made.GetContainerID(), client.CopyFromContainerOptions{
		SourcePath: containerDir + "/" + name,
	})
	if cerrdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = copied.Content.Close() }()
	archive := tar.NewReader(copied.Content)
	if _, err := archive.Next(); err != nil {
		return nil, err
	}
	// The file may grow while it is copied: what counts is what it was when
	// the engine looked, and that is all here.
	return io.ReadAll(archive)
}

// close has a time-out of its own: a caller whose context is done still wants
// the container gone.
func (c *container) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	return errors.Join(
		testcontainers.TerminateContainer(c.made, testcontainers.StopContext(ctx), testcontainers.StopTimeout(0)),
		c.leave(ctx))
}
