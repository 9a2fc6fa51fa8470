package dbservers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// linkedName is the name by which the containers of a link reach the one that
// it was made for. An address would not do: the engine may give a container
// another one when it starts again.
const linkedName = "peer"

// A link is a network of the engine's, on which containers reach one of them by
// its name. The default network, through which clients come, has no names.
//
// https://docs.docker.com/engine/network/drivers/bridge/#differences-between-user-defined-bridges-and-the-default-bridge
type link struct {
	engine *engine
	id     string

	mu      sync.Mutex
	members int
}

// newLink makes a link on which nobody is.
func (e *engine) newLink(ctx context.Context, labels map[string]string) (*link, error) {
	// These are what testcontainers' reaper goes by.
	labels = maps.Clone(labels)
	maps.Copy(labels, testcontainers.GenericLabels())
	made, err := e.client.NetworkCreate(ctx, "dbrotation-"+strings.ToLower(rand.Text()), client.NetworkCreateOptions{
		Driver: "bridge",
		// It leads nowhere else, and so takes no container's published port.
		Internal: true,
		Labels:   labels,
	})
	if err != nil {
		return nil, fmt.Errorf("making a network: %w", err)
	}
	return &link{engine: e, id: made.ID}, nil
}

// enter brings a container onto the link, under names.
func (l *link) enter(ctx context.Context, containerID string, names ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.engine.client.NetworkConnect(ctx, l.id, client.NetworkConnectOptions{
		Container:      containerID,
		EndpointConfig: &network.EndpointSettings{Aliases: names},
	})
	if err != nil {
		return fmt.Errorf("bringing the container onto the network: %w", err)
	}
	l.members++
	return nil
}

// gone counts a container that is no more. The last one takes the link along.
func (l *link) gone(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members--
	if l.members > 0 {
		return nil
	}
	return l.engine.removeLink(ctx, l.id)
}

func (e *engine) removeLink(ctx context.Context, id string) error {
	_, err := e.client.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("removing the network: %w", err)
	}
	return nil
}

// removeLeftLinks removes the links of runs that were killed, once their
// containers are removed.
func (e *engine) removeLeftLinks(ctx context.Context) error {
	found, err := e.client.NetworkList(ctx, client.NetworkListOptions{
		Filters: client.Filters{}.Add("label", engineLabel),
	})
	if err != nil {
		return fmt.Errorf("looking for networks of killed runs: %w", err)
	}
	var errs []error
	for _, n := range found.Items {
		if leftover(n.Labels[hostLabel], n.Labels[ownerLabel], n.Created) {
			errs = append(errs, e.removeLink(ctx, n.ID))
		}
	}
	return errors.Join(errs...)
}

// beside makes the link when it is first needed. On a network that all share
// there is none.
func (c *container) beside(ctx context.Context, r recipe) (place, error) {
	if c.engine.shares {
		return c.engine.open(ctx, r, nil, peer{host: loopback, port: c.port})
	}
	on, err := c.linked(ctx, r.release.engine)
	if err != nil {
		return nil, err
	}
	return c.engine.open(ctx, r, on, peer{host: linkedName, port: r.release.port})
}

func (c *container) linked(ctx context.Context, engine string) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		return c.link, nil
	}
	l, err := c.engine.newLink(ctx, ownerLabels(engine))
	if err != nil {
		return nil, err
	}
	if err := l.enter(ctx, c.made.GetContainerID(), linkedName); err != nil {
		return nil, errors.Join(err, c.engine.removeLink(context.WithoutCancel(ctx), l.id))
	}
	c.link = l
	return l, nil
}

// join brings a container that was not started yet onto the link.
func (c *container) join(ctx context.Context, l *link) error {
	if err := l.enter(ctx, c.made.GetContainerID()); err != nil {
		return err
	}
	c.mu.Lock()
	c.link = l
	c.mu.Unlock()
	return nil
}

// leave tells the link, if there is one, that the container was removed.
func (c *container) leave(ctx context.Context) error {
	c.mu.Lock()
	l := c.link
	c.link = nil
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.gone(ctx)
}
