// Command demo shows one rotation on this machine: a real database server, the
// function as it is deployed, and the embedded AWS between them. It sets up
// all that it needs, and removes it again. No password is ever printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// shows are the rotations that can be shown, by engine and strategy.
var shows = map[string]func(context.Context, *narrator) error{
	"postgres single": func(ctx context.Context, n *narrator) error {
		return showPostgres(ctx, n, (*demo).single)
	},
	"postgres alternating": func(ctx context.Context, n *narrator) error {
		return showPostgres(ctx, n, (*demo).alternating)
	},
}

func main() {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	engine := flags.String("engine", "postgres", "the database engine")
	strategy := flags.String("strategy", "single", "the strategy")
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(1)
	}
	os.Exit(run(*engine+" "+*strategy, flags.Args()))
}

func run(name string, rest []string) int {
	show, ok := shows[name]
	if !ok || len(rest) > 0 {
		fmt.Fprintf(os.Stderr, "demo: there is no demo of %q; there is %s\n",
			strings.Join(append([]string{name}, rest...), " "), strings.Join(slices.Sorted(maps.Keys(shows)), ", "))
		return 1
	}
	// A terminal that is closed hangs up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Where the reader of the output goes (demo | head), this signal would end
	// the demo before it has stopped its server. Caught, it is an error of the
	// write alone.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	n := newNarrator(os.Stdout)
	n.title("A rotation: " + name)
	err := show(ctx, n)
	n.quiet()
	if ctx.Err() != nil {
		err = interrupted(err)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		return 1
	}
	n.last("rotated: " + name)
	return 0
}

// interrupted is the error of a demo that was told to end, in place of those
// that this caused. What could not be stopped is told.
func interrupted(err error) error {
	var left *leftError
	if errors.As(err, &left) {
		return fmt.Errorf("interrupted; %w", left)
	}
	return errors.New("interrupted; what was started is stopped again")
}

// leftError says that something the demo made is still there.
type leftError struct{ err error }

func (e *leftError) Error() string { return "cleaning up: " + e.err.Error() }

func (e *leftError) Unwrap() error { return e.err }

// cleanUp runs undo at the end of a function and joins its error to err.
func cleanUp(err *error, undo func() error) {
	if undoing := undo(); undoing != nil {
		*err = errors.Join(*err, &leftError{undoing})
	}
}
