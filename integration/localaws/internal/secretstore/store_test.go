package secretstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

const region = "eu-central-1"

var day = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func open(t *testing.T, data string, now time.Time) *secretstore.Store {
	t.Helper()
	o := secretstore.Options{DataFile: data, Account: "000000000000", Now: func() time.Time { return now }}
	if data != "" {
		o.RootKeyFile = data + ".key"
	}
	s, err := secretstore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func create(t *testing.T, s *secretstore.Store, name string) *secretstore.Secret {
	t.Helper()
	secret, err := s.Create(region, name, func(c *secretstore.Change) error {
		v, err := c.AddVersion("v1", c.Now, 100)
		if err != nil {
			return err
		}
		c.Apply([]string{secretstore.Current}, v)
		return s.Seal(c.Secret, v, secretstore.Value{Bytes: []byte("one")})
	})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestRefusedChangeKeepsNothing(t *testing.T) {
	t.Parallel()
	for story, data := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "data")} {
		t.Run(story, func(t *testing.T) {
			t.Parallel()
			s := open(t, data, day)
			before := create(t, s, "app")
			refusal := errors.New("refused")
			_, err := s.Update(region, "app", func(c *secretstore.Change) error {
				c.Description = "changed"
				c.Tags = append(c.Tags, secretstore.Tag{Key: "k"})
				c.Versions["v1"].Labels[0] = "changed"
				c.After(func() { t.Error("a refused change has an aftermath") })
				return refusal
			})
			if !errors.Is(err, refusal) {
				t.Errorf("error %v", err)
			}
			after, err := s.Get(region, "app")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("it changed all the same (-before +after):\n%s", diff)
			}
		})
	}
}

func TestStaleIsAsBeforeTheLastWrite(t *testing.T) {
	t.Parallel()
	s := open(t, "", day)
	create(t, s, "app")
	if _, err := s.GetStale(region, "app"); !errors.Is(err, secretstore.ErrNotFound) {
		t.Errorf("before it was made there is %v", err)
	}
	describe := func(text string) {
		if _, err := s.Update(region, "app", func(c *secretstore.Change) error { c.Description = text; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	describe("one")
	describe("two")
	if err := s.Touch(region, "app", "v1"); err != nil { // no write that could be missed
		t.Fatal(err)
	}
	if stale, err := s.GetStale(region, "app"); err != nil || stale.Description != "one" {
		t.Errorf("stale, it is %v, %v", stale, err)
	}
}

func TestFileComesBackAsItWas(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := open(t, data, day)
	create(t, s, "app")
	kept, err := s.Update(region, "app", func(c *secretstore.Change) error {
		c.Tags = []secretstore.Tag{}
		c.Rotation = &secretstore.Rotation{Enabled: true, LambdaARN: "arn", Next: day}
		c.InFlight = &secretstore.InFlight{Token: "v2", TestOnly: true}
		v, err := c.AddVersion("v2", c.Now, 100)
		if err == nil {
			c.Attach(secretstore.Pending, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, data, day)
	again, err := s.Get(region, kept.ARN)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, again); diff != "" {
		t.Errorf("after opening again (-want +got):\n%s", diff)
	}
	if v, err := s.Open(again, again.Versions["v1"]); err != nil || string(v.Bytes) != "one" {
		t.Errorf("the value is %q, %v", v.Bytes, err)
	}
	if _, err := s.Open(again, again.Versions["v2"]); !errors.Is(err, secretstore.ErrNoValue) {
		t.Errorf("the placeholder has a value, %v", err)
	}
}

func TestDeletedSecretLeavesTheFileWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := open(t, data, day)
	create(t, s, "app")
	if _, err := s.Update(region, "app", func(c *secretstore.Change) error { c.Deleted, c.Purge = day, day.AddDate(0, 0, 7); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, data, day.AddDate(0, 0, 6))
	if _, err := s.Get(region, "app"); err != nil {
		t.Errorf("a day before: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, data, day.AddDate(0, 0, 7)).Close(); err != nil {
		t.Fatal(err)
	}
	if s = open(t, data, day); len(s.List(region)) != 0 { // even if the clock is put back
		t.Error("it is still in the file")
	}
}

func TestClosedStoreTakesNoWrites(t *testing.T) {
	t.Parallel()
	s := open(t, "", day)
	create(t, s, "app")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(region, "app", func(*secretstore.Change) error { return nil }); !errors.Is(err, secretstore.ErrClosed) {
		t.Errorf("a write ends with %v", err)
	}
	if _, err := s.Get(region, "app"); err != nil {
		t.Errorf("a read ends with %v", err)
	}
}

func TestFileThatIsNone(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := secretstore.Open(secretstore.Options{DataFile: data, RootKeyFile: data + ".key", Now: time.Now}); err == nil {
		t.Error("it was opened", s.Close())
	}
}

// TestDamagedFile cuts the file short, and wipes each page, where a full disk or
// a bad copy would. Whatever opens must be whole.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sound := filepath.Join(dir, "sound")
	s := open(t, sound, day)
	for _, name := range []string{"a", "b", "c"} {
		create(t, s, name)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	refused := 0
	for at := 0; at < len(whole); at += page {
		wiped := bytes.Clone(whole)
		clear(wiped[at : at+page])
		for story, text := range map[string][]byte{"cut": whole[:at+page/2], "wiped": wiped} {
			data := filepath.Join(dir, fmt.Sprint(story, at))
			if err := os.WriteFile(data, text, 0o600); err != nil {
				t.Fatal(err)
			}
			o := secretstore.Options{DataFile: data, RootKeyFile: sound + ".key", Now: func() time.Time { return day }}
			damaged, err := secretstore.Open(o)
			if err != nil {
				refused++
				if !strings.Contains(err.Error(), data) {
					t.Errorf("%s at %d: the error does not name the file: %v", story, at, err)
				}
				continue
			}
			if n := len(damaged.List(region)); n != 3 && (story != "wiped" || at >= 2*page) {
				// (Of the two first pages, one is the transaction before.)
				t.Errorf("%s at %d: it opens with %d of 3 secrets", story, at, n)
			}
			if err := damaged.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}
