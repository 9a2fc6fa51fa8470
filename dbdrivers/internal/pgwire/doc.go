// Package pgwire is what the drivers for servers of PostgreSQL's protocol
// share: one sign-in with nothing from the environment, the class of every way
// in which it can fail, and the meaning of the server's error codes.
//
// It rests on pgconn, the lower half of pgx, and not on pgx itself: a pgx
// connection asks the server about its types, which a rotation never needs.
package pgwire
