// Command prove rotates the secret of a real database once, by the secret's own
// rotation function, and reports whether the rotation kept what its strategy
// promises. It is for the owner of what nobody can have on a laptop: Amazon
// Redshift, Amazon DocumentDB, an account's own network and IAM.
//
// It calls Secrets Manager alone, with the SDK's usual configuration (profile,
// Region, endpoint), and needs secretsmanager:DescribeSecret, GetSecretValue and
// RotateSecret on the secret, lambda:InvokeFunction on its function, and
// kms:Decrypt where the secret has a key of its own. No value is ever printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/dbrotation/dbrotation/dbdrivers/engines"
	"github.com/dbrotation/dbrotation/rotator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, in *os.File, out, errs io.Writer) int {
	asked, err := read(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(errs, "prove: %v\n", err)
		return 1
	}
	p := &prover{options: asked, report: &report{out: out}}
	p.consent = func(ctx context.Context) error {
		return consent(ctx, asked.yes, term.IsTerminal(int(in.Fd())), in, p.report)
	}
	if err := p.prove(ctx); err != nil {
		fmt.Fprintf(errs, "\nprove: %s\n", p.scrubbed(err.Error()))
		return 1
	}
	return 0
}

// options are what the command line asks for.
type options struct {
	engine   string
	secret   string
	strategy rotator.Strategy // empty: as the secret says
	roots    string
	fromHere bool
	yes      bool
	timeout  time.Duration
}

func read(args []string, errs io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("prove", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&o.engine, "engine", "", "the engine that is to be proven: "+strings.Join(engines.Names(), ", "))
	flags.StringVar(&o.secret, "secret", "", "ARN or name of the database account's secret")
	strategy := flags.String("strategy", "", "the strategy, where the function's STRATEGY overrides what the secret says")
	flags.StringVar(&o.roots, "roots", "", "PEM file of further root certificates, as the function's SSL_ROOTS")
	flags.BoolVar(&o.fromHere, "from-here", true, "sign in from this machine as well, where it reaches the database")
	flags.BoolVar(&o.yes, "yes", false, "rotate without being asked")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long the rotation is waited for")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var faults []error
	if rest := flags.Args(); len(rest) > 0 {
		faults = append(faults, fmt.Errorf("%q is a word too many: everything is a flag", strings.Join(rest, " ")))
	}
	if _, ok := engines.Table()[o.engine]; !ok {
		faults = append(faults, fmt.Errorf("there is no engine %q; ENGINE is one of %s", o.engine, strings.Join(engines.Names(), ", ")))
	}
	if o.secret == "" {
		faults = append(faults, errors.New("SECRET_ID is missing: give the ARN or the name of the secret"))
	}
	if *strategy != "" {
		parsed, err := rotator.ParseStrategy(*strategy)
		if err != nil {
			faults = append(faults, err)
		}
		o.strategy = parsed
	}
	if o.timeout <= 0 {
		faults = append(faults, fmt.Errorf("-timeout is %s, not a time to wait", o.timeout))
	}
	return o, errors.Join(faults...)
}

// consent has the owner say yes before anything changes.
func consent(ctx context.Context, given, terminal bool, in io.Reader, r *report) error {
	switch {
	case given:
		return nil
	case !terminal:
		return errors.New("nobody was asked, since the input is no terminal; say -yes. Nothing was changed")
	}
	r.ask("Type yes to rotate: ")
	answers := make(chan string, 1)
	go func() {
		// A line, or what there is of it.
		var answer []byte
		for one := make([]byte, 1); ; {
			n, err := in.Read(one)
			if n == 1 && one[0] != '\n' {
				answer = append(answer, one[0])
				continue
			}
			if n == 1 || err != nil {
				break
			}
		}
		answers <- strings.TrimSpace(string(answer))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answers:
		if answer != "yes" {
			return errors.New("not confirmed; nothing was changed")
		}
	}
	return nil
}
