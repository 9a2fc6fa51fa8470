package dbservers

import "context"

// lockFerretDB makes this process the only one of the user's to build FerretDB,
// until unlock.
func lockFerretDB(ctx context.Context) (unlock func(), err error) {
	return lockCache(ctx, release{engine: "ferretdb", major: ferretMajor})
}
