package dbservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// The environment variables that steer testcontainers.
//
// https://golang.testcontainers.org/features/configuration/
const (
	reaperVariable = "TESTCONTAINERS_RYUK_DISABLED"
	hostVariable   = "TESTCONTAINERS_HOST_OVERRIDE"
)

// How long an engine is given to answer, and to be made ready for use.
const (
	answerWithin = 5 * time.Second
	engineWithin = time.Minute
)

// engine is the Docker engine, as found once for the process.
type engine struct {
	client *testcontainers.DockerClient
	// host is where clients reach a server; bind is the address that the engine
	// publishes a port on.
	host string
	bind netip.Addr
	// shares: containers may share this machine's own network. A published port
	// costs a process that copies every byte, and rules of the firewall at every
	// start.
	shares bool
}

// theEngine finds the engine and remembers the outcome. It has a time-out of
// its own, so that one caller's cancelled context is not remembered for all.
var theEngine = sync.OnceValues(func() (*engine, error) {
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	return findEngine(ctx)
})

func findEngine(ctx context.Context) (*engine, error) {
	// testcontainers reads its settings at its first use and never again, so
	// they are made with a client of our own, before it.
	first, err := dial(ctx)
	if err != nil {
		return nil, &missingError{what: "no Docker engine answers (start one, or set DOCKER_HOST)", err: err}
	}
	defer func() { _ = first.Close() }()
	if err := adjustTestcontainers(ctx, first); err != nil {
		return nil, err
	}
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to the Docker engine: %w", err)
	}
	host, err := publishedHost(ctx)
	if err != nil {
		return nil, err
	}
	e := &engine{client: cli, host: host, bind: netip.IPv4Unspecified()}
	if host == loopback {
		e.bind = netip.MustParseAddr(loopback)
		e.shares = ownsBridge(ctx, first) && !isolated(ctx, first)
	}
	return e, e.removeLeftovers(ctx)
}

// isolated reports whether the engine's host network may be another than this
// machine's, or closed to containers: so it is where the engine runs as a user,
// and where it maps users.
//
// https://docs.docker.com/engine/network/drivers/host/
// https://docs.docker.com/engine/security/userns-remap/#user-namespace-known-limitations
func isolated(ctx context.Context, cli *client.Client) bool {
	told, err := cli.Info(ctx, client.InfoOptions{})
	if err != nil {
		return true
	}
	for _, option := range told.Info.SecurityOptions {
		if strings.Contains(option, "name=rootless") || strings.Contains(option, "name=userns") {
			return true
		}
	}
	return false
}

const loopback = "127.0.0.1"

// dial returns a client to the first engine that answers: the one the
// environment names, else those at the usual sockets.
func dial(ctx context.Context) (*client.Client, error) {
	tries := [][]client.Opt{{client.FromEnv}}
	if os.Getenv(client.EnvOverrideHost) == "" {
		for _, socket := range userSockets() {
			if _, err := os.Stat(socket); err == nil {
				tries = append(tries, []client.Opt{client.WithHost("unix://" + socket)})
			}
		}
	}
	var errs []error
	for _, opts := range tries {
		cli, err := client.New(opts...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		pinging, cancel := context.WithTimeout(ctx, answerWithin)
		_, err = cli.Ping(pinging, client.PingOptions{NegotiateAPIVersion: true})
		cancel()
		if err == nil {
			return cli, nil
		}
		errs = append(errs, err, cli.Close())
	}
	return nil, errors.Join(errs...)
}

// userSockets are where Docker Desktop and a rootless engine listen.
func userSockets() []string {
	sockets := []string{filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "docker.sock")}
	if home, err := os.UserHomeDir(); err == nil {
		sockets = append(sockets,
			filepath.Join(home, ".docker", "run", "docker.sock"),
			filepath.Join(home, ".docker", "desktop", "docker.sock"))
	}
	return sockets
}

// adjustTestcontainers turns the reaper off where its image cannot be had, and
// the host right where testcontainers would take this machine for a container.
// What the user has set stays.
func adjustTestcontainers(ctx context.Context, cli *client.Client) error {
	log.SetDefault(log.NewNoopLogger())
	if _, set := os.LookupEnv(reaperVariable); !set {
		//nolint:staticcheck // Deprecated, and yet the only word on which image it will be.
		if err := available(ctx, cli, hubName(testcontainers.ReaperDefaultImage)); err != nil {
			if err := os.Setenv(reaperVariable, "true"); err != nil {
				return fmt.Errorf("turning the reaper off: %w", err)
			}
		}
	}
	if _, set := os.LookupEnv(hostVariable); !set && ownsBridge(ctx, cli) {
		if err := os.Setenv(hostVariable, loopback); err != nil {
			return fmt.Errorf("naming the engine's host: %w", err)
		}
	}
	return nil
}

// bridgeName is the option by which the engine tells its bridge's interface.
//
// https://docs.docker.com/engine/network/drivers/bridge/#default-bridge-network-options
const bridgeName = "com.docker.network.bridge.name"

// ownsBridge reports whether the bridge of the engine's default network is an
// interface of this machine: then the engine runs here, whatever /.dockerenv
// may say, and published ports are on loopback. A container sees its own end
// of the bridge, under another name.
func ownsBridge(ctx context.Context, cli *client.Client) bool {
	bridge, err := cli.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
	if err != nil {
		return false
	}
	here, err := net.InterfaceByName(bridge.Network.Options[bridgeName])
	if err != nil {
		return false
	}
	addrs, err := here.Addrs()
	if err != nil {
		return false
	}
	for _, config := range bridge.Network.IPAM.Config {
		for _, addr := range addrs {
			if own, err := netip.ParsePrefix(addr.String()); err == nil && config.Subnet.Contains(own.Addr()) {
				return true
			}
		}
	}
	return false
}

// publishedHost is where the engine's published ports are reached from here.
func publishedHost(ctx context.Context) (string, error) {
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(log.NewNoopLogger()))
	if err != nil {
		return "", fmt.Errorf("connecting to the Docker engine: %w", err)
	}
	defer func() { _ = provider.Close() }()
	host, err := provider.DaemonHost(ctx)
	if err != nil {
		return "", fmt.Errorf("finding the Docker engine's host: %w", err)
	}
	if host == "localhost" {
		// The name may resolve to ::1 first, where nothing is published.
		return loopback, nil
	}
	return host, nil
}
