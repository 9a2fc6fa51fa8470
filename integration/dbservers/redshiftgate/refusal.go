package redshiftgate

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// refused is an error that the client is answered with.
type refused struct{ code, message string }

func (r *refused) Error() string { return r.message + " (SQLSTATE " + r.code + ")" }

// refusal is a refused of a SQLSTATE.
//
// https://www.postgresql.org/docs/8.0/errcodes-appendix.html
func refusal(code, format string, args ...any) error {
	return &refused{code: code, message: fmt.Sprintf(format, args...)}
}

// response is the message that tells the client. A fatal one ends the session.
func (r *refused) response(fatal bool) *pgproto3.ErrorResponse {
	severity := "ERROR"
	if fatal {
		severity = "FATAL"
	}
	return &pgproto3.ErrorResponse{Severity: severity, Code: r.code, Message: r.message}
}
