package localaws_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// serverData in the environment makes the test binary a server on that data
// file.
const serverData = "LOCALAWS_TEST_SERVER_DATA"

func serveUntilKilled(data string) int {
	server, err := localaws.Start(localaws.Config{Listen: "127.0.0.1:0", DataFile: data})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(server.Endpoint())
	_, _ = os.Stdin.Read(make([]byte, 1)) // until killed, or the test ends
	return 0
}

func onFile(path string) func(*localaws.Config) {
	return func(c *localaws.Config) { c.DataFile = path }
}

func TestSecretsSurviveARestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	w := start(t, onFile(data))
	id := w.create("app", "1")
	w.must(w.put(id, "second", "2"))
	_, err := w.sm.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("gone"), SecretString: aws.String("x")})
	w.must(err)
	_, err = w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("gone"), ForceDeleteWithoutRecovery: aws.Bool(true)})
	w.must(err)
	w.must(w.Close())

	w = start(t, onFile(data))
	w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
	for version, want := range map[string]string{"first": "1", "second": "2"} {
		if got, err := w.get(id, version, ""); err != nil || got != want {
			t.Errorf("version %s is %q, %v; want %q", version, got, err, want)
		}
	}
	_, err = w.get("gone", "", "")
	w.wantError(err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func TestSecretsSurviveAKill(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(exe)
	server.Env = append(os.Environ(), serverData+"="+data)
	stdin, err := server.StdinPipe() // held open
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "http://") {
		t.Fatalf("the server says %q", lines.Text())
	}
	killed := &world{T: t, sm: newClient(lines.Text(), region, localaws.AccessKey, localaws.SecretKey, "")}
	id := killed.create("app", "1")
	killed.must(killed.put(id, "second", "2"))
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait() // "signal: killed"

	w := start(t, onFile(data))
	if got, err := w.get(id, "", ""); err != nil || got != "2" {
		t.Errorf("the value is %q, %v after the kill", got, err)
	}
}

func TestNoValueIsOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	w := start(t, onFile(data))
	const text, binary = "planted-text-5c1d", "planted-binary-77ae"
	id := w.create("app", text)
	_, err := w.sm.PutSecretValue(w.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretBinary: []byte(binary)})
	w.must(err)
	var rotationToken string
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		rotationToken = e.RotationToken
		return nil
	})
	w.must(w.rotate(id, "rotated"))
	w.must(w.wait(id))
	w.must(w.Close())

	key, err := os.ReadFile(data + ".key")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte(id)) {
		t.Fatal("the file does not even hold the secret's ARN: this test searches in the wrong place")
	}
	for what, planted := range map[string]string{
		"a SecretString": text, "a SecretBinary": binary, "a rotated value": "rotated-" + token("rotated"),
		"the RotationToken": rotationToken, "the root key": string(key),
	} {
		for form, needle := range map[string]string{"plain": planted, "in base64": base64.StdEncoding.EncodeToString([]byte(planted))[:8]} {
			if planted == "" || bytes.Contains(raw, []byte(needle)) {
				t.Errorf("%s is in the data file, %s", what, form)
			}
		}
	}
	for _, path := range []string{data, data + ".key"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode().Perm())
		}
	}
}

func TestRootKeyThatDoesNotServe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		story string
		spoil func(key string) error
		want  string
	}{
		{"another key", func(key string) error { return os.WriteFile(key, bytes.Repeat([]byte{7}, 32), 0o600) }, "the root key does not fit"},
		{"the key is gone", os.Remove, "its root key is not at"},
		{"others can read it", func(key string) error { return os.Chmod(key, 0o640) }, "run: chmod 600"},
		{"it was cut short", func(key string) error { return os.Truncate(key, 31) }, "does not hold exactly 32 bytes"},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			w := start(t, onFile(data))
			w.create("app", "1")
			w.must(w.Close())
			if err := c.spoil(data + ".key"); err != nil {
				t.Fatal(err)
			}
			server, err := localaws.Start(localaws.Config{Listen: "127.0.0.1:0", DataFile: data})
			if err == nil {
				t.Fatal("it started", server.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestDataFileInUse(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	start(t, onFile(data))
	_, err := localaws.Start(localaws.Config{Listen: "127.0.0.1:0", DataFile: data})
	if err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("error is %v", err)
	}
}

func TestUnfinishedRotationIsTakenUpAfterARestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	w := start(t, onFile(data))
	id := w.create("app", "1")
	reached := make(chan struct{})
	w.function(func(ctx context.Context, _ *secretsmanager.Client, e step) error {
		if e.Step == "setSecret" {
			close(reached)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	w.must(w.rotate(id, "second"))
	<-reached
	w.must(w.Close())
	var failed *localaws.RotationError
	if err := w.wait(id); !errors.As(err, &failed) || failed.Step != "setSecret" {
		t.Errorf("the rotation ended with %v", err)
	}

	w = start(t, onFile(data))
	w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}})
	w.function(nil)
	w.must(w.wait(id))
	w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
}
