// Package mytwin gives one account of MySQL or MariaDB what another one is
// granted, and proves that it has it: what the two drivers' twins share. What a
// server writes and refuses in its own way, its driver says.
package mytwin
