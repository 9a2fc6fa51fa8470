package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// awsMySQL is what AWS's functions for MySQL say to it.
//
// They ask whether the server's version begins with "8", and of any other want
// PASSWORD(), which MySQL has not had since 8.0.11. So they fail on MySQL 9, as
// [awsMySQL.asPublished] has it. What they did on MySQL 8, and left there, is the
// rest of it; for that every server is taken for an 8.
//
// https://dev.mysql.com/doc/refman/8.0/en/mysql-nutshell.html
type awsMySQL struct{ asPublished bool }

// mysqlForAWS is a server with an admin who may write to the tables of mysql:
// SET PASSWORD for another account demands that.
//
// https://dev.mysql.com/doc/refman/9.7/en/set-password.html
var mysqlForAWS = dbservers.MySQLOptions{Plaintext: true, Settings: map[string]string{"partial_revokes": "OFF"}}

// awsPublished and awsPublishedSingle are AWS's functions as they are published,
// where those are others than the stories are told with.
const (
	awsPublished       = "aws-alternating-users-as-published"
	awsPublishedSingle = "aws-single-user-as-published"
)

// addPublishedAWSFunctions registers them.
func (s *stage) addPublishedAWSFunctions() {
	s.t.Helper()
	for name, alternating := range map[string]bool{awsPublished: true, awsPublishedSingle: false} {
		f := s.awsFunction(name, alternating)
		if _, ok := f.engine.(awsMySQL); ok {
			f.engine = awsMySQL{asPublished: true}
		}
		s.addHandler(name, f.handle)
	}
}

// TestWhereAWSsFunctionForMySQLGetsStuck is in the middle of a rotation: the
// first one of two accounts goes through when it is delivered again, because the
// twin already has the password, and those after it never. This function
// completes what is pending, or begins anew once the label is off it, and goes on.
func TestWhereAWSsFunctionForMySQLGetsStuck(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, by, says string
		options        dbservers.MySQLOptions
		secret         func(*stage) string
		promotes       bool
	}{
		{"single, on MySQL 9", awsPublishedSingle, "PASSWORD(", mysqlForAWS, (*stage).singleSecret, false},
		{"alternating, on MySQL 9", awsPublished, "PASSWORD(", mysqlForAWS, (*stage).alternatingSecret, true},
		{"alternating, by an admin who may only read the tables of mysql", awsAlternating, "to database 'mysql'", dbservers.MySQLOptions{Plaintext: true}, (*stage).alternatingSecret, true},
	} {
		for _, completed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, then completed: %t", row.name, completed), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, stageOptions{server: sharedMySQL(t, row.options), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				s.addAWSFunction(awsAlternating, true)
				s.addPublishedAWSFunctions()
				arn := row.secret(s)
				fails := func(err error) {
					t.Helper()
					if err == nil || !strings.Contains(err.Error(), row.says) {
						t.Fatalf("it ended with %v, want an error that says %s", err, row.says)
					}
				}
				if row.promotes {
					fails(s.rotateBy(row.by, arn))
					if err := s.deliverSteps(row.by, arn); err != nil {
						t.Fatalf("the first rotation, delivered again: %v", err)
					}
				}
				fails(s.rotateBy(row.by, arn))
				for range 2 {
					fails(s.deliverSteps(row.by, arn))
				}
				if completed {
					if err := s.deliverSteps(function, arn); err != nil {
						t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
					}
				} else {
					s.takeOff(arn, "AWSPENDING")
				}
				for range 3 {
					s.mustRotateBy(function, arn)
				}
				if row.promotes && !s.opens(arn, "AWSPREVIOUS") {
					t.Error("AWSPREVIOUS does not open the database")
				}
			})
		}
	}
}

// takeOff takes a label off the version that has it, as an operator would.
func (s *stage) takeOff(arn, label string) {
	s.t.Helper()
	version := s.versionOf(arn, label)
	if _, err := s.client.UpdateSecretVersionStage(s.t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &arn, VersionStage: &label, RemoveFromVersionId: &version,
	}); err != nil {
		s.t.Fatal(err)
	}
}

func (awsMySQL) serves(engine string) bool { return engine == "mysql" || engine == "aurora-mysql" }

func (awsMySQL) excluded() string { return `/@"'\` }

func (a awsMySQL) changeOwn(ctx context.Context, own session, pending awsDocument) error {
	form, err := a.password(ctx, own)
	if err != nil {
		return err
	}
	return own.exec(ctx, "SET PASSWORD = "+form, pending.Password)
}

// changeOther makes the other account with its new password, and then copies
// grants and REQUIRE. Accounts are named without a host, which is '%'.
func (a awsMySQL) changeOther(ctx context.Context, admin session, current, pending awsDocument) error {
	found, err := admin.rows(ctx, "SELECT User FROM mysql.user WHERE User = ?", pending.Username)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if err := admin.exec(ctx, "CREATE USER ? IDENTIFIED BY ?", pending.Username, pending.Password); err != nil {
			return err
		}
	}
	if err := awsCopyGrants(ctx, admin, current, " TO ?", pending.Username); err != nil {
		return err
	}
	form, err := a.password(ctx, admin)
	if err != nil {
		return err
	}
	if err := awsCopyTLS(ctx, admin, current, pending); err != nil {
		return err
	}
	return admin.exec(ctx, "SET PASSWORD FOR ? = "+form, pending.Username, pending.Password)
}

// password is the form that a password has in SET PASSWORD.
func (a awsMySQL) password(ctx context.Context, conn session) (form string, err error) {
	version, err := conn.rows(ctx, "SELECT VERSION()")
	if err != nil {
		return "", err
	}
	if a.asPublished && !strings.HasPrefix(version[0][0], "8") {
		return "PASSWORD(?)", nil
	}
	return "?", nil
}

// awsMariaDB is what AWS's functions for MariaDB say to it.
type awsMariaDB struct{}

func (awsMariaDB) serves(engine string) bool { return engine == "mariadb" }

func (awsMariaDB) excluded() string { return `/@"'\` }

func (awsMariaDB) changeOwn(ctx context.Context, own session, pending awsDocument) error {
	return own.exec(ctx, "SET PASSWORD = PASSWORD(?)", pending.Password)
}

// changeOther lets the grants make the other account, each with the password.
func (awsMariaDB) changeOther(ctx context.Context, admin session, current, pending awsDocument) error {
	if err := awsCopyGrants(ctx, admin, current, " TO ? IDENTIFIED BY ?", pending.Username, pending.Password); err != nil {
		return err
	}
	return awsCopyTLS(ctx, admin, current, pending)
}

// awsCopyGrants takes of each row of SHOW GRANTS what stands before its first
// " TO ", and appends something else.
func awsCopyGrants(ctx context.Context, admin session, current awsDocument, tail string, args ...any) error {
	grants, err := admin.rows(ctx, "SHOW GRANTS FOR ?", current.Username)
	if err != nil {
		return err
	}
	for _, row := range grants {
		before, _, _ := strings.Cut(row[0], " TO ")
		if err := admin.exec(ctx, before+tail, args...); err != nil {
			return err
		}
	}
	return nil
}

// awsCopyTLS copies what REQUIRE says of the first row that the server happens
// to show, and of a certificate all three parts.
func awsCopyTLS(ctx context.Context, admin session, current, pending awsDocument) error {
	rows, err := admin.rows(ctx, "SELECT ssl_type, ssl_cipher, x509_issuer, x509_subject FROM mysql.user WHERE User = ?", current.Username)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errors.New("the server does not show the account")
	}
	require, args := "NONE", []any{pending.Username}
	switch row := rows[0]; row[0] {
	case "ANY":
		require = "SSL"
	case "X509":
		require = "X509"
	case "SPECIFIED":
		require = "CIPHER ? AND ISSUER ? AND SUBJECT ?"
		args = append(args, row[1], row[2], row[3])
	}
	return admin.exec(ctx, "ALTER USER ?@'%' REQUIRE "+require, args...)
}
