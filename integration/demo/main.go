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
	"postgres single": showPostgresSingle,
}

func main() {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	engine := flags.String("engine", "postgres", "the database engine")
	strategy := flags.String("strategy", "single", "the strategy")
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(2)
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n := newNarrator(os.Stdout)
	n.title("A rotation: " + name)
	err := show(ctx, n)
	n.quiet()
	if ctx.Err() != nil {
		err = errors.New("interrupted; what was started is stopped again")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		return 1
	}
	n.last("rotated: " + name)
	return 0
}
