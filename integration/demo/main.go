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

// strategies are the rotations that can be shown.
var strategies = map[string]func(*demo, context.Context) error{
	"single":        (*demo).single,
	"alternating":   (*demo).alternating,
	"dual-password": (*demo).dualPassword,
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
	os.Exit(run(*engine, *strategy, flags.Args()))
}

// missing says what there is in place of what was asked for, and is nil where
// that can be shown.
func missing(engine, strategy string, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is a word too many: the engine and the strategy are flags", strings.Join(rest, " "))
	}
	if _, ok := engines[engine]; !ok {
		return fmt.Errorf("there is no engine %q; ENGINE is one of %s", engine, names(engines))
	}
	if _, ok := strategies[strategy]; !ok {
		return fmt.Errorf("there is no strategy %q; STRATEGY is one of %s", strategy, names(strategies))
	}
	if why, ok := engines[engine].lacks[strategy]; ok {
		others := maps.Clone(strategies)
		maps.DeleteFunc(others, func(name string, _ func(*demo, context.Context) error) bool {
			_, lacks := engines[engine].lacks[name]
			return lacks
		})
		return fmt.Errorf("there is no %s with ENGINE=%s: %s; STRATEGY is one of %s", strategy, engine, why, names(others))
	}
	return nil
}

func names[V any](of map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(of)), ", ")
}

func run(engine, strategy string, rest []string) int {
	if err := missing(engine, strategy, rest); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
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
	name := engine + " " + strategy
	n.title("A rotation: " + name)
	err := present(ctx, n, engines[engine], strategies[strategy])
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
