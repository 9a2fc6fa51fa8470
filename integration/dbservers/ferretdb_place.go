package dbservers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

// ferretPlace is the place of a stand-in for DocumentDB: FerretDB, and the gate
// in front of it, which belongs to this process.
type ferretPlace struct {
	place // FerretDB's
	port  int
	log   eventLog

	mu     sync.Mutex
	config documentdbgate.Config
	gate   *documentdbgate.Gate // nil while stopped
}

// eventLog is the gate's log, which outlives the gate.
type eventLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *eventLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *eventLog) read() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

// openFerretPlace opens a gate in front of a FerretDB server. It closes the
// server where it fails.
func openFerretPlace(behind place, ca *CA, superuser string, opt DocumentDBOptions) (*ferretPlace, error) {
	p := &ferretPlace{place: behind}
	err := p.furnish(ca, superuser, opt)
	if err == nil {
		err = p.open()
	}
	if err != nil {
		return nil, errors.Join(err, behind.close())
	}
	return p, nil
}

func (p *ferretPlace) furnish(ca *CA, superuser string, opt DocumentDBOptions) error {
	port, err := freePort(netip.MustParseAddr(loopback))
	if err != nil {
		return err
	}
	p.port = port
	host, behind := p.place.address()
	p.config = documentdbgate.Config{
		Listen:    net.JoinHostPort(loopback, strconv.Itoa(port)),
		Server:    net.JoinHostPort(host, strconv.Itoa(behind)),
		Password:  superuser,
		Primary:   adminName,
		Plaintext: opt.Plaintext,
		Audit:     &p.log,
		Behavior:  opt.Behavior,
	}
	if opt.NoTLS {
		return nil
	}
	cert, key, err := ca.Issue(serverNames(loopback)...)
	if err != nil {
		return err
	}
	return p.secure(cert, key)
}

// secure gives the gate a certificate, also for when it is opened again.
func (p *ferretPlace) secure(cert, key []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if p.gate == nil {
		return nil
	}
	return p.gate.SetCertificate(pair)
}

// play makes the gate another cluster, also when it is opened again.
func (p *ferretPlace) play(b documentdbgate.Behavior) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.Behavior = b
	if p.gate != nil {
		p.gate.SetBehavior(b)
	}
}

func (p *ferretPlace) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate != nil {
		return nil
	}
	gate, err := documentdbgate.Start(p.config)
	if err != nil {
		return err
	}
	p.gate = gate
	return nil
}

func (p *ferretPlace) shut() error {
	p.mu.Lock()
	gate := p.gate
	p.gate = nil
	p.mu.Unlock()
	if gate == nil {
		return nil
	}
	return gate.Close()
}

func (p *ferretPlace) source() string {
	return p.place.source() + " (FerretDB " + ferretVersion + " behind a gate)"
}

func (p *ferretPlace) address() (string, int) { return loopback, p.port }

func (p *ferretPlace) start(ctx context.Context) error {
	if err := p.place.start(ctx); err != nil {
		return err
	}
	return p.open()
}

func (p *ferretPlace) stop(ctx context.Context) error {
	return errors.Join(p.shut(), p.place.stop(ctx))
}

// running adds the end of FerretDB's log, which says why it ended.
func (p *ferretPlace) running(ctx context.Context) error {
	err := p.place.running(ctx)
	if err != nil {
		return withLogTail(ctx, p.place, err)
	}
	return nil
}

// write gives the gate the certificate, and FerretDB all else.
func (p *ferretPlace) write(ctx context.Context, files ...file) error {
	var cert, key []byte
	var others []file
	for _, f := range files {
		switch f.name {
		case certificateFile:
			cert = f.content
		case certificateKeyFile:
			key = f.content
		default:
			others = append(others, f)
		}
	}
	if cert != nil && key != nil {
		if err := p.secure(cert, key); err != nil {
			return fmt.Errorf("changing the gate's certificate: %w", err)
		}
	}
	return p.place.write(ctx, others...)
}

// read takes the server's log for the gate's, and FerretDB's by its own name.
func (p *ferretPlace) read(ctx context.Context, name string) ([]byte, error) {
	switch name {
	case serverLog:
		return p.log.read(), nil
	case ferretLog:
		text, err := p.place.read(ctx, serverLog)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return text, err
	}
	return p.place.read(ctx, name)
}

func (p *ferretPlace) beside(context.Context, recipe) (place, error) { return nil, errNoReplicas }

func (p *ferretPlace) close() error { return errors.Join(p.shut(), p.place.close()) }
