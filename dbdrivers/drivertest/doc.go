// Package drivertest is the conformance suite that every driver must pass, and
// [Fake], a driver in memory that passes it too.
//
// A driver's test starts a real server, fills in a [Fixture] and calls [Run].
// Each clause of the contract in package dbdrivers is one sub-test, on an
// account of its own.
package drivertest
