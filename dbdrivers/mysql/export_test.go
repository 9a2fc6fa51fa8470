package mysql

// Dialect is what every session of the driver begins with.
var Dialect = dialect

// MarkRole is the name of the role that marks a twin of canonical.
func MarkRole(state, canonical string) string {
	for m, name := range states {
		if name == state {
			return markRole(m, canonical).User
		}
	}
	panic("no such state: " + state)
}

// The computations, for comparison with a server's own.
var (
	CachingSHA2 = cachingSHA2
	NewHash     = newHash
	IsHashOf    = isHashOf
	SHA256Crypt = sha256Crypt
)
