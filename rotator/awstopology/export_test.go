package awstopology

import (
	"context"
	"net"
)

// AskDNS makes the topology reach name servers by dial.
func (t *Topology) AskDNS(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	t.resolver = newResolver(dial)
}
