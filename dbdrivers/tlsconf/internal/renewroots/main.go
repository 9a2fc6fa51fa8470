// Renewroots replaces the embedded root certificates of Amazon RDS with those
// that AWS offers now, and prints which were added and which removed. It is
// what `make roots` runs.
//
// Nothing is trusted here that the reader cannot check: the file names each
// certificate's subject, expiry and SHA-256 fingerprint, and so does the output.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// bundleURL is AWS's own bundle for all commercial Regions.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
const bundleURL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"

// maxBundle bounds what is read: the bundle is about 160 kB.
const maxBundle = 4 << 20

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	file := flag.String("file", "rds-roots.pem", "the file to renew")
	from := flag.String("from", bundleURL, "where the bundle is, an https address")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "renewroots takes flags only, not %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := renew(ctx, http.DefaultClient, *from, *file, time.Now(), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "renewroots: %v\n", err)
		os.Exit(1)
	}
}

// renew fetches the bundle at url, writes its roots to path and tells the
// difference to out. Where nothing differs the file is left as it is, its date
// included; where anything fails it is left as it is, too.
func renew(ctx context.Context, client *http.Client, url, path string, now time.Time, out io.Writer) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the present roots: %w", err)
	}
	present, err := parseBundle(old)
	if err != nil {
		return fmt.Errorf("reading the present roots: %s: %w", path, err)
	}
	text, err := fetch(ctx, client, url)
	if err != nil {
		return fmt.Errorf("fetching the bundle: %w", err)
	}
	offered, err := parseBundle(text)
	if err != nil {
		return fmt.Errorf("reading the bundle: %s: %w", url, err)
	}
	roots, left := selectRoots(offered, now)
	for _, l := range left {
		fmt.Fprintf(out, "left out  %s: %s\n", describe(l.certificate), l.reason)
	}
	if len(roots) == 0 {
		return fmt.Errorf("reading the bundle: %s holds no root that is valid now; %s is unchanged", url, path)
	}

	added, removed := difference(present, roots)
	if len(added)+len(removed) == 0 {
		fmt.Fprintf(out, "%d roots, unchanged\n", len(roots))
		return nil
	}
	if err := replace(path, render(roots, url, now)); err != nil {
		return fmt.Errorf("writing the roots: %w", err)
	}
	for _, c := range added {
		fmt.Fprintf(out, "added     %s\n", describe(c))
	}
	for _, c := range removed {
		fmt.Fprintf(out, "removed   %s\n", describe(c))
	}
	fmt.Fprintf(out, "%d roots: %d added, %d removed\n", len(roots), len(added), len(removed))
	return nil
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if req.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not an https address, and roots of trust are taken from no other", url)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBundle+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBundle {
		return nil, fmt.Errorf("%s is larger than %d bytes, and so no bundle of roots", url, maxBundle)
	}
	return text, nil
}

// replace writes text to path in one move, so that an interrupted run leaves
// the old file whole.
func replace(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already where the move succeeded
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
