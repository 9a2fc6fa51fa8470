package dbservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// waysVariable is the environment variable that takes the choice away.
const waysVariable = "DBROTATION_SERVERS"

// A way is a kind of place to run servers.
type way string

const (
	anyWay       way = ""
	containerWay way = "container"
	processWay   way = "process"
	// publishedWay is what a container is where it cannot share this machine's
	// network. It is for tests: nobody chooses it.
	publishedWay way = "container with a published port"
)

func wayFromEnvironment() (way, error) {
	switch w := way(os.Getenv(waysVariable)); w {
	case anyWay, containerWay, processWay:
		return w, nil
	default:
		return "", fmt.Errorf("%s=%s is not known; set it to container or process, or unset it", waysVariable, w)
	}
}

// openPlace starts the recipe's server in the first place there is.
func openPlace(ctx context.Context, r recipe, w way) (place, error) {
	switch w {
	case containerWay:
		return openContainer(ctx, r)
	case publishedWay:
		return openPublished(ctx, r)
	case processWay:
		return openProcess(ctx, r, peer{})
	}
	// Only a missing engine sends us on: an engine that is there and fails is
	// something its owner wants to know.
	container, err := openContainer(ctx, r)
	var missing *missingError
	if !errors.As(err, &missing) {
		return container, err
	}
	process, err := openProcess(ctx, r, peer{})
	var missingToo *missingError
	if errors.As(err, &missingToo) {
		return nil, &missingError{what: missing.what + "; and " + missingToo.what, err: errors.Join(missing.err, missingToo.err)}
	}
	return process, err
}

// missingError says that something this machine would need is not there, and
// what to do about it.
type missingError struct {
	what string
	err  error
}

func (e *missingError) Error() string {
	if e.err == nil {
		return e.what
	}
	return e.what + ": " + strings.ReplaceAll(e.err.Error(), "\n", "; ")
}

func (e *missingError) Unwrap() error { return e.err }

// logTailLength is how much of a server's log an error carries.
const logTailLength = 2000

// withLogTail adds the end of the server's log to err: by the time anyone
// reads the error, the server is gone.
func withLogTail(ctx context.Context, p place, err error) error {
	text, reading := logOf(context.WithoutCancel(ctx), p)
	if reading != nil || text == "" {
		return err
	}
	return fmt.Errorf("%w; the server's log ends with:\n%s", err, tail(text))
}

func tail(text string) string {
	if len(text) > logTailLength {
		return "..." + text[len(text)-logTailLength:]
	}
	return strings.TrimSpace(text)
}
