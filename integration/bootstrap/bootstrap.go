// Package bootstrap builds the rotation function as it is deployed, for the
// machine at hand.
package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const rotation = "github.com/dbrotation/dbrotation/functions/rotation"

// Build builds the function into dir and returns the executable's path. It
// needs the go command and this module's source, and takes the flags of the
// Makefile's build target, so that what is tried is what is deployed.
func Build(ctx context.Context, dir string) (path string, err error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("building the function: the go command is not in PATH; install Go from https://go.dev/dl")
	}
	// A command that is cut off leaves its temporary files, which go with dir.
	env := append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Dir}}", rotation)
	list.Env = env
	module, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("building the function: finding its source: run this inside a checkout of the module: %w", err)
	}
	path = filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", path, rotation)
	build.Dir = strings.TrimSpace(string(module))
	build.Env = env
	var output bytes.Buffer
	build.Stdout, build.Stderr = &output, &output
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building the function: %w\n%s", err, output.String())
	}
	return path, nil
}
