//go:build !linux

package dbservers

import "context"

// debianImage cannot make an image here: Debian's tools run on Linux.
func (e *engine) debianImage(context.Context, release) (string, error) { return "", errNotLinux() }

// debianTree cannot unpack packages here.
func debianTree(context.Context, release) (string, error) { return "", errNotLinux() }

func errNotLinux() error {
	return &missingError{what: "Debian packages can be unpacked on Linux only"}
}
