package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

var classes = []error{
	dbdrivers.ErrRefused, dbdrivers.ErrBarred, dbdrivers.ErrUnreachable, dbdrivers.ErrTLS, dbdrivers.ErrNotWritable,
	dbdrivers.ErrBusy, dbdrivers.ErrPrivilege, dbdrivers.ErrPasswordRules, dbdrivers.ErrUnsupported,
}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), callTimeout)
}

// wantClass asserts that err is of one class and shows no secret.
func wantClass(t *testing.T, err, want error, secrets ...string) {
	t.Helper()
	wantOneOf(t, err, []error{want}, secrets...)
}

func wantOneOf(t *testing.T, err error, want []error, secrets ...string) {
	t.Helper()
	WantSafe(t, err, secrets...)
	if err == nil || !slices.Contains(want, dbdrivers.ClassOf(err)) {
		t.Errorf("error %v; want one of %q", err, want)
	}
}

// WantSafe asserts what holds for every error of a driver: it is of exactly
// one class, and no way to print it or anything it wraps shows a secret.
func WantSafe(t *testing.T, err error, secrets ...string) {
	t.Helper()
	if err == nil {
		return
	}
	var found []error
	for _, class := range classes {
		if errors.Is(err, class) {
			found = append(found, class)
		}
	}
	if len(found) != 1 {
		t.Errorf("error %v is of the classes %q; want exactly one", err, found)
	}
	for _, text := range prints(err) {
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("a password is shown by an error: %q", strings.ReplaceAll(text, secret, "<HERE>"))
			}
		}
	}
}

// prints renders err and all that it wraps, in each way that ends in logs.
func prints(err error) []string {
	if err == nil {
		return nil
	}
	var texts []string
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		texts = append(texts, fmt.Sprintf(format, err))
	}
	if encoded, failed := json.Marshal(err); failed == nil {
		texts = append(texts, string(encoded))
	}
	switch wrapping := err.(type) { //nolint:errorlint // each layer is printed by itself
	case interface{ Unwrap() error }:
		texts = append(texts, prints(wrapping.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapping.Unwrap() {
			texts = append(texts, prints(inner)...)
		}
	}
	return texts
}
