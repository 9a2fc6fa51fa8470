package pgwire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// scrub returns a copy of err without secrets. A server has no reason to
// repeat one, but its messages, and those of modules and triggers in it, are
// other people's code.
func scrub(err *pgconn.PgError, secrets []string) *pgconn.PgError {
	// The longest first: one that another begins with would leave its rest.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	replacer := strings.NewReplacer(pairs...)
	clean := *err
	for _, field := range []*string{
		&clean.Message, &clean.Detail, &clean.Hint, &clean.Where, &clean.InternalQuery,
		&clean.SchemaName, &clean.TableName, &clean.ColumnName, &clean.DataTypeName, &clean.ConstraintName,
	} {
		*field = replacer.Replace(*field)
	}
	return &clean
}

// Said is the server's error with its detail and hint, which say what the
// message leaves out.
func Said(err *pgconn.PgError) error {
	switch {
	case err.Detail != "" && err.Hint != "":
		return fmt.Errorf("%w; %s; %s", err, err.Detail, err.Hint)
	case err.Detail != "":
		return fmt.Errorf("%w; %s", err, err.Detail)
	case err.Hint != "":
		return fmt.Errorf("%w; %s", err, err.Hint)
	}
	return err
}
