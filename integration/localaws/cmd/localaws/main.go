// Command localaws is an AWS Secrets Manager for this machine. The AWS SDKs,
// boto3 and the AWS CLI talk to it unchanged; rotations run real function
// binaries.
//
//	localaws --data secrets.db --function rotation=./bootstrap
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run starts a server and keeps it until ctx ends. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage // parse has said why
	}
	o.config.Log = slog.New(newConsole(stdout))
	if err := serve(ctx, o, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "localaws:", err)
		return exitFailed
	}
	return 0
}

func serve(ctx context.Context, o *options, stdout io.Writer) (err error) {
	server, err := localaws.Start(o.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	for _, f := range o.functions {
		if err := server.AddFunction(f); err != nil {
			return err
		}
	}
	if err := greet(stdout, server.Endpoint(), o); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	<-ctx.Done()
	return nil
}

// exampleRegion is the Region of the examples; any other serves as well.
const exampleRegion = "us-east-1"

// greet tells how to use the server.
func greet(w io.Writer, endpoint string, o *options) error {
	where := "in memory, gone when this ends"
	if o.config.DataFile != "" {
		where = o.config.DataFile
	}
	_, err := fmt.Fprintf(w, `Secrets Manager at %[1]s, secrets %[2]s

  export AWS_ACCESS_KEY_ID=%[4]s AWS_SECRET_ACCESS_KEY=%[5]s AWS_SESSION_TOKEN=
  export AWS_REGION=%[3]s AWS_DEFAULT_REGION=%[3]s AWS_ENDPOINT_URL=%[1]s
  aws --endpoint-url %[1]s secretsmanager create-secret --name demo --secret-string '{"username":"app"}'

`, endpoint, where, exampleRegion, localaws.AccessKey, localaws.SecretKey)
	for _, f := range o.functions {
		if err == nil {
			_, err = fmt.Fprintf(w, "Function %s: %s\n", f.Name, localaws.FunctionARN(exampleRegion, f.Name))
		}
	}
	return err
}
