package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// options are the command line.
type options struct {
	config    localaws.Config
	functions []localaws.Function
}

// parse reads the command line. It has written its error to stderr when it
// returns it.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("localaws", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.config.Listen, "listen", localaws.DefaultListen, "`address` to listen at")
	flags.StringVar(&o.config.DataFile, "data", "", "`file` to keep secrets in (default: memory)")
	flags.StringVar(&o.config.RootKeyFile, "root-key", "", "`file` of the root key (default: the data file's name and .key)")
	timeout := flags.Duration("function-timeout", localaws.DefaultTimeout, "time-out of each invocation")
	var paths, env pairs
	flags.Var(&paths, "function", "`NAME=PATH` of an executable that rotates; may be repeated")
	flags.Var(&env, "function-env", "`NAME:KEY=VALUE` for a function's environment; may be repeated")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if err := o.complete(flags.Args(), paths, env, *timeout); err != nil {
		_, _ = fmt.Fprintf(stderr, "localaws: %v\nRun localaws --help for the flags.\n", err)
		return nil, err
	}
	return o, nil
}

func (o *options) complete(rest []string, paths, env pairs, timeout time.Duration) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if timeout <= 0 {
		return fmt.Errorf("--function-timeout must be more than zero")
	}
	if o.config.RootKeyFile != "" && o.config.DataFile == "" {
		return fmt.Errorf("--root-key needs --data")
	}
	byName := make(map[string]int)
	for _, p := range paths {
		if p.key == "" || p.value == "" {
			return fmt.Errorf("--function must read NAME=PATH")
		}
		if _, taken := byName[p.key]; taken {
			return fmt.Errorf("--function names %s twice", p.key)
		}
		byName[p.key] = len(o.functions)
		o.functions = append(o.functions, localaws.Function{
			Name: p.key, Path: p.value, Timeout: timeout, Env: make(map[string]string),
		})
	}
	for _, e := range env {
		// The value may be a secret: no error repeats it.
		name, key, ok := strings.Cut(e.key, ":")
		if !ok || name == "" || key == "" {
			return fmt.Errorf("--function-env must read NAME:KEY=VALUE")
		}
		i, known := byName[name]
		if !known {
			return fmt.Errorf("--function-env is for function %s, which no --function names", name)
		}
		o.functions[i].Env[key] = e.value
	}
	return nil
}

// pairs is a flag that may be repeated: each is a key and a value around the
// first equals sign.
type pairs []pair

type pair struct{ key, value string }

// String implements flag.Value. It shows nothing: a value may be a secret.
func (p *pairs) String() string { return "" }

// Set implements flag.Value.
func (p *pairs) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		// flag itself would repeat the text after our words.
		key, value = "", ""
	}
	*p = append(*p, pair{key, value})
	return nil
}
