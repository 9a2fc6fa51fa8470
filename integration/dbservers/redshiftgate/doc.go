// Package redshiftgate is a gate that makes a PostgreSQL server stand in for
// Amazon Redshift: for tests of a client that is to work with Redshift, on
// machines that have none.
//
// Redshift began as PostgreSQL 8.0.2, and the server behind the gate is a real
// PostgreSQL: accounts, passwords, privileges and transactions are real. The
// gate stands for the difference. It passes only the statements that Redshift's
// manual knows, from two tables (forms and operatorForms), each line beside its
// page. It says them to PostgreSQL in PostgreSQL's words, and answers in
// Redshift's. What PostgreSQL has no place for (SYSLOG ACCESS, datashares, the
// privilege to drop) is kept in tables of a schema of the gate's own, in the
// same session and so in the same transaction. Redshift's system views are made
// in pg_catalog, with the columns that the manual gives them.
//
// # What this proves, and what it does not
//
// It proves that a client says nothing that the manual does not know, in its
// order of messages, and that what it says has the effect that the manual
// tells, as far as PostgreSQL's accounts and privileges have it. It proves
// nothing about Redshift itself. Where the manual leaves something open, the
// gate decides by PostgreSQL: error messages beyond the sign-in's, what happens
// to two transactions at once, and which rows the views have beside those that
// were granted.
//
// Known differences:
//
//   - A name has at most 63 bytes, PostgreSQL's limit. One of 64 to 127 bytes,
//     which Redshift takes, is refused with an error that says so.
//   - Users, groups and roles share their names.
//   - Holders of system privileges (GRANT ALTER USER TO ROLE r) are shown in
//     the views, and have no power by them. Nor have those of ALTER and DROP, of
//     scoped privileges, and of privileges on datashares and models.
//   - Policies of masking and of row-level security that are attached are shown,
//     and keep nothing from anybody.
//   - What the gate itself keeps belongs to one database, as its grants do; a
//     user's SYSLOG ACCESS, SESSION TIMEOUT and sha256 password are those of
//     that database too.
package redshiftgate
