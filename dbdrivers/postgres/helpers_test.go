package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
)

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func withPassword(login dbdrivers.Login, password string) dbdrivers.Login {
	login.Password = dbdrivers.NewPassword(password)
	return login
}

func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func verify(t *testing.T, login dbdrivers.Login) error {
	return postgres.New().Verify(inTime(t), dbdrivers.VerifyRequest{Login: login})
}

func setOwn(t *testing.T, login dbdrivers.Login, password string) error {
	return set(t, dbdrivers.SetPasswordRequest{As: login, Account: login.Username, Password: dbdrivers.NewPassword(password)})
}

func set(t *testing.T, req dbdrivers.SetPasswordRequest) error {
	return postgres.New().SetPassword(inTime(t), req)
}
