package drivertest

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// slack is how much longer than its context a call may take on a busy machine.
const slack = 2 * time.Second

func (f Fixture) testUnreachable(t *testing.T) {
	a := f.account(t)
	at := func(address string) dbdrivers.Login {
		login := a.login
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		login.Host = host
		if login.Port, err = strconv.Atoi(port); err != nil {
			t.Fatal(err)
		}
		return login
	}
	places := map[string]dbdrivers.Login{
		"a closed port":                        at(closedPort),
		"a name that does not exist":           at("nowhere.invalid:5432"),
		"a server that takes and says nothing": at(blackHole(t)),
		"a server that hangs up":               at(hangingUp(t)),
	}
	for name, login := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, next := f.methods(login)
			for method, call := range calls {
				const within = time.Second
				ctx, cancel := context.WithTimeout(t.Context(), within)
				start := time.Now()
				err := call(ctx)
				cancel()
				if took := time.Since(start); took > within+slack {
					t.Errorf("%s took %v; its context ended after %v", method, took, within)
				}
				wantClass(t, err, dbdrivers.ErrUnreachable, a.old(), next)
			}
		})
	}
}

// methods are those of the driver, on the same login, and the password that
// some of them would set.
func (f Fixture) methods(login dbdrivers.Login) (calls map[string]func(context.Context) error, next string) {
	next = newPassword()
	calls = map[string]func(context.Context) error{
		"Verify": func(ctx context.Context) error {
			return f.Driver.Verify(ctx, dbdrivers.VerifyRequest{Login: login})
		},
		"SetPassword": func(ctx context.Context) error {
			return f.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
				As: login, Account: login.Username, Password: dbdrivers.NewPassword(next),
			})
		},
	}
	if opener, ok := f.Driver.(dbdrivers.TwinOpener); ok {
		calls["VerifyTwin"] = func(ctx context.Context) error {
			_, err := opener.VerifyTwin(ctx, dbdrivers.VerifyTwinRequest{Login: login, Canonical: login.Username, Twin: login.Username + "_clone"})
			return err
		}
		calls["OpenTwin"] = func(ctx context.Context) error {
			_, err := opener.OpenTwin(ctx, dbdrivers.OpenTwinRequest{
				Admin: login, Canonical: newName(), Twin: newName(), Password: dbdrivers.NewPassword(next),
			})
			return err
		}
	}
	if retainer, ok := f.Driver.(dbdrivers.PasswordRetainer); ok {
		calls["RetainPassword"] = func(ctx context.Context) error {
			return retainer.RetainPassword(ctx, dbdrivers.RetainPasswordRequest{
				As: login, Account: login.Username, Current: login.Password, Password: dbdrivers.NewPassword(next),
			})
		}
	}
	return calls, next
}

func (f Fixture) testCancelled(t *testing.T) {
	a := f.account(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	calls, next := f.methods(a.login)
	for method, call := range calls {
		start := time.Now()
		err := call(cancelled)
		if took := time.Since(start); took > slack {
			t.Errorf("%s with a cancelled context took %v", method, took)
		}
		wantClass(t, err, dbdrivers.ErrUnreachable, a.old(), next)
	}
	a.mustOpen(a.old())

	login := a.login
	host, port, err := net.SplitHostPort(blackHole(t))
	if err != nil {
		t.Fatal(err)
	}
	login.Host = host
	if login.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	calls, next = f.methods(login)
	for method, call := range calls {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		err := call(ctx)
		timer.Stop()
		cancel()
		if took := time.Since(start); took > slack {
			t.Errorf("%s went on for %v after it was cancelled", method, took)
		}
		wantClass(t, err, dbdrivers.ErrUnreachable, a.old(), next)
	}
}

func (f Fixture) testTLS(t *testing.T) {
	faults := map[string]func(*testing.T) dbdrivers.Login{
		"the server offers none":               f.NoTLS,
		"the certificate is of a stranger":     f.UnknownAuthority,
		"the certificate carries another name": f.OtherName,
	}
	for name, login := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if login == nil {
				t.Fatal("the fixture does not say how to see this")
			}
			login := login(t)
			calls, next := f.methods(login)
			for _, call := range calls {
				ctx, cancel := contextOf(t)
				err := call(ctx)
				cancel()
				wantClass(t, err, dbdrivers.ErrTLS, login.Password.Reveal(), next)
			}
		})
	}
}

func (f Fixture) testConcurrent(t *testing.T) {
	a := f.account(t)
	// A writer that signs in as the account may come after another's change.
	by, fails := a.login, []error{dbdrivers.ErrBusy, dbdrivers.ErrRefused}
	if f.Admin != nil {
		by, fails = f.Admin(t), []error{dbdrivers.ErrBusy}
	}
	const writers = 6
	passwords := make([]string, writers)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range passwords {
		passwords[i] = newPassword()
		wg.Go(func() { errs[i] = a.set(by, passwords[i]) })
	}
	wg.Wait()
	var open int
	for i, password := range passwords {
		if f.Opens(t, a.name(), password) {
			open++
			if errs[i] != nil {
				t.Errorf("the password that was left is one whose change failed: %v", errs[i])
			}
		}
		if err := errs[i]; err != nil {
			wantOneOf(t, err, fails, passwords...)
		}
	}
	if open != 1 {
		t.Errorf("%d of %d passwords open; want one", open, writers)
	}
}

func (f Fixture) testConcurrentVerify(t *testing.T) {
	a, wrong := f.account(t), newPassword()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := f.verify(t, a.login); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
		wg.Go(func() { wantClass(t, f.verify(t, a.with(wrong)), dbdrivers.ErrRefused, wrong, a.old()) })
	}
	wg.Wait()
}

// closedPort is an address where nothing listens. A port that was free a moment
// ago could be another test's by now.
const closedPort = "127.0.0.1:1"

// blackHole returns an address that takes connections and never answers.
func blackHole(t *testing.T) string {
	listener := listen(t)
	serve(t, listener, func(net.Conn) {})
	return listener.Addr().String()
}

// hangingUp returns an address that reads a little and closes.
func hangingUp(t *testing.T) string {
	listener := listen(t)
	serve(t, listener, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	})
	return listener.Addr().String()
}

func listen(t *testing.T) net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// serve hands each connection to handle and closes them when the test ends.
func serve(t *testing.T, listener net.Listener, handle func(net.Conn)) {
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			go handle(conn)
		}
	}()
}
