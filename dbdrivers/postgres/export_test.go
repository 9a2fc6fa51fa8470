package postgres

// The computations, for comparison with a server's own.
var (
	SCRAMVerifier = scramVerifier
	MD5Verifier   = md5Verifier
)
