package redshiftgate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

func TestAWrongPasswordIsRefusedAsRedshiftRefusesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	w.exec("ALTER USER " + user + " VALID UNTIL '2001-02-03'")
	for _, name := range []string{server.Admin.Username, user, "nobody_at_all", `no"body`} {
		_, err := w.tryConnect(name, "Wrong-pass1", nil)
		want := `password authentication failed for user "` + name + `"`
		if sqlstate(err) != "28000" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want SQLSTATE 28000 and %s", name, err, want)
		}
	}
	signIns, err := server.SignIns(w.ctx, user)
	if want := (dbservers.SignIns{Refused: 1}); err != nil || signIns != want {
		t.Errorf("the log tells of %+v, %v; want %+v", signIns, err, want)
	}
}

// TestWhoIsKeptOutWithTheRightPasswordIsToldSo has the order of the messages:
// the password is accepted before another reason is told.
func TestWhoIsKeptOutWithTheRightPasswordIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for option, code := range map[string]string{"CONNECTION LIMIT 0": "53300", "NOLOGIN": "28000"} {
		user := w.user("Abcdefg1")
		w.exec("ALTER USER " + user + " " + option)
		c := dialGate(t, map[string]string{"user": user, "database": server.Database})
		c.proveMD5(user, "Abcdefg1")
		if kind, body := c.receive(); kind != 'R' || binary.BigEndian.Uint32(body) != 0 {
			t.Errorf("%s: the first answer to the right password is %q, want AuthenticationOk", option, kind)
		}
		kind, body := c.receive()
		if kind != 'E' || !bytes.Contains(body, []byte("C"+code+"\x00")) || bytes.Contains(body, []byte("password")) {
			t.Errorf("%s: %q %q, want an error of SQLSTATE %s", option, kind, body, code)
		}
	}
}

func TestTheParametersOfASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, want := range map[string]string{"server_version": "8.0.2", "client_encoding": "UTF8", "standard_conforming_strings": "", "in_hot_standby": ""} {
		if got := w.conn.PgConn().ParameterStatus(name); got != want {
			t.Errorf("%s is reported as %q, want %q", name, got, want)
		}
	}
	if got := w.conn.PgConn().ParameterStatus("padb_version"); !strings.Contains(got, "Redshift") {
		t.Errorf("padb_version is reported as %q", got)
	}
	password := server.Admin.Password.Reveal()
	for _, name := range []string{"standard_conforming_strings", "statement_timeout", "lock_timeout", "options", "_pq_.anything"} {
		_, err := w.tryConnect(server.Admin.Username, password, map[string]string{name: "on"})
		if sqlstate(err) != "42704" || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("the start-up parameter %s: %v, want SQLSTATE 42704 that names it", name, err)
		}
	}
	if _, err := w.tryConnect(server.Admin.Username, password, map[string]string{
		"DateStyle": "ISO", "TimeZone": "UTC", "extra_float_digits": "2", "search_path": "public", "driver_version": "2", "os_version": "3",
		"client_protocol_version": "2", "client_encoding": "UTF8",
	}); err != nil {
		t.Errorf("the start-up parameters of Redshift's own driver: %v", err)
	}
}

// TestASHA256UserIsAskedForADigest speaks for a client that knows how.
func TestASHA256UserIsAskedForADigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	w.exec("ALTER USER " + user + " PASSWORD 'sha256|Hidden99x'")
	for password, right := range map[string]bool{"Hidden99x": true, "Hidden99X": false, "Abcdefg1": false} {
		c := dialGate(t, map[string]string{"user": user, "database": server.Database})
		c.proveDigest(password)
		kind, body := c.receive()
		switch {
		case right && (kind != 'R' || binary.BigEndian.Uint32(body) != 0):
			t.Errorf("the right password: %q %q", kind, body)
		case !right && (kind != 'E' || !bytes.Contains(body, []byte("C28000\x00Mpassword authentication failed"))):
			t.Errorf("a wrong password: %q %q", kind, body)
		}
	}
	signIns, err := server.SignIns(w.ctx, user)
	if want := (dbservers.SignIns{Accepted: 1, Refused: 2}); err != nil || signIns != want {
		t.Errorf("the log tells of %+v, %v; want %+v", signIns, err, want)
	}
	// A client that does not know how says so by itself.
	if _, err := w.tryConnect(user, "Hidden99x", nil); err == nil || !strings.Contains(err.Error(), "unknown authentication type: 13") {
		t.Errorf("a client that knows no digest: %v", err)
	}
}

func TestADigestThatIsNotWellFormedEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	w.exec("ALTER USER " + user + " PASSWORD 'sha256|Hidden99x'")
	for _, answer := range [][]byte{nil, {0, 0}, {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 9}} {
		c := dialGate(t, map[string]string{"user": user, "database": server.Database})
		c.receive()
		c.send('d', answer)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the answer %x: %v, want the end of the session", answer, err)
		}
	}
}

// rawClient speaks the protocol by the byte: pgx knows no request for a digest.
type rawClient struct {
	net.Conn
	t *testing.T
}

func dialGate(t *testing.T, parameters map[string]string) *rawClient {
	t.Helper()
	return dialAt(t, server.Host, server.Port, parameters)
}

func dialAt(t *testing.T, host string, port int, parameters map[string]string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	startup, err := (&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: parameters}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(startup); err != nil {
		t.Fatal(err)
	}
	return &rawClient{conn, t}
}

func (c *rawClient) receive() (kind byte, body []byte) {
	c.t.Helper()
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		c.t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	return head[0], body
}

func (c *rawClient) send(kind byte, body []byte) {
	c.t.Helper()
	message := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
	if _, err := c.Write(message); err != nil {
		c.t.Fatal(err)
	}
}

// proveMD5 answers the server's request for an md5 password.
func (c *rawClient) proveMD5(user, password string) {
	c.t.Helper()
	kind, body := c.receive()
	if kind != 'R' || binary.BigEndian.Uint32(body) != 5 {
		c.t.Fatalf("the server asks %q %x, want authentication type 5", kind, body)
	}
	c.send('p', append([]byte("md5"+md5Hex(md5Hex(password+user)+string(body[4:]))), 0))
}

// proveDigest answers the server's request for the digest of a password.
func (c *rawClient) proveDigest(password string) {
	c.t.Helper()
	kind, body := c.receive()
	if kind != 'R' || binary.BigEndian.Uint32(body) != 13 || binary.BigEndian.Uint32(body[4:]) != 0 {
		c.t.Fatalf("the server asks %q %x, want authentication type 13 by SHA-256", kind, body)
	}
	salt, rest := take(c.t, body[8:])
	nonce, rest := take(c.t, rest)
	if len(rest) > 0 || len(salt) != sha256.Size || len(nonce) == 0 {
		c.t.Fatalf("the request has a salt of %d bytes, a nonce of %d, and %d more", len(salt), len(nonce), len(rest))
	}
	inner := sha256.Sum256(append([]byte(password), salt...))
	proof := sha256.Sum256(bytes.Join([][]byte{inner[:], nonce, []byte("mine")}, nil))
	c.send('d', bytes.Join([][]byte{{0, 0, 0, sha256.Size}, proof[:], {0, 0, 0, 4}, []byte("mine")}, nil))
}

func take(t *testing.T, data []byte) (value, rest []byte) {
	t.Helper()
	n := binary.BigEndian.Uint32(data)
	return data[4 : 4+n], data[4+n:]
}
