// Package drivertest is the conformance suite that every driver must pass, and
// [Fake], a driver in memory that passes it too.
//
// A driver's test starts a real server, fills in a [Fixture] and calls [Run].
// Each clause of the contract in package dbdrivers is one sub-test, on an
// account of its own. A driver that implements [dbdrivers.TwinOpener] is tested
// for that as well, by what [TwinFixture] says of the server.
package drivertest
