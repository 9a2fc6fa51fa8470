// Package dbservers starts real database servers, for tests and the demo.
//
// Each server is its own: an own data folder, an own port on this machine, an
// own certificate authority. It comes with an administrator shaped as Amazon
// RDS shapes its master user, which is no superuser.
//
// # Where a server comes from
//
//  1. A container, where a Docker engine answers: the official image, pinned
//     by tag; where no registry can be reached, an image made here from
//     Debian's packages, whose signatures apt checks. That image stays in the
//     engine, so it is made once for a machine. Where the engine runs on this
//     machine the container shares its network, and the server listens on the
//     loopback interface alone; elsewhere the engine publishes its port.
//  2. A local process: the binaries that are installed here, or (on Linux, as
//     root, with apt) the same Debian packages, unpacked below the user's cache
//     folder and entered by chroot.
//
// [Server.Source] says which it was. The environment variable
// DBROTATION_SERVERS ("container" or "process") takes the choice away.
//
// Amazon DocumentDB runs nowhere but at AWS, and [StartDocumentDB] starts what
// stands in for it: a container of MongoDB, else FerretDB, which is built from the
// Go module proxy once for a machine, behind package documentdbgate.
//
// Amazon Redshift too runs at AWS alone, and [StartRedshift] starts what stands
// in for it: a PostgreSQL server behind a gate that passes only what Redshift's
// manual knows. The package redshiftgate says what that proves, and what not.
//
// Some versions are in no release of Debian: without the official image they
// cannot be had. [Unavailable] names them, and the tests leave them out.
//
// # Replicas
//
// [Server.StartReplica] starts a replica that follows a server, and whose
// replay can be held back: for what happens while it lags. Containers that do
// not share this machine's network reach each other by one of their own.
//
// # Logs
//
// Servers log all that they can: each statement and sign-in ([Server.Log]), and
// on MySQL and MariaDB the slow query log and the binary log ([Server.Logs]). So
// a test that finds no password there has proven something. What this package
// itself says with a password in it stays out of them.
//
// # What is left behind
//
// Nothing but what makes the next start quick: the images, a volume for each
// (dbrotation-...) that holds a new data folder to copy, and the cache.
// [Server.Close] removes a container with its data, or ends a process and
// removes its folder. What a killed run leaves is removed by testcontainers'
// reaper; where the reaper's image cannot be had, by the next run: containers,
// networks and folders whose owner is gone and which are older than an hour. On
// Linux a local process ends with the one that started it.
//
// # Adding an engine
//
// Write a dialect (see dialect.go): what the server is told and asked once it
// runs, and the recipe (see recipe.go) that says which files it reads, how its
// data folder is made and how it is run. Both ways to run it are then there.
// Add the engine to the flavours of the tests, which tell the same stories of
// every engine.
package dbservers
