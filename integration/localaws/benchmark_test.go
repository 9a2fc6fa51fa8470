package localaws_test

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

func benchServer(b *testing.B, cfg localaws.Config) *secretsmanager.Client {
	b.Helper()
	cfg.Listen, cfg.VersionQuota = "127.0.0.1:0", 1_000_000
	server, err := localaws.Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closing(b, server) })
	sm := newClient(server.Endpoint(), region, localaws.AccessKey, localaws.SecretKey, "")
	if _, err := sm.CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("app"), SecretString: aws.String("x")}); err != nil {
		b.Fatal(err)
	}
	return sm
}

func closing(b *testing.B, c io.Closer) {
	b.Helper()
	if err := c.Close(); err != nil {
		b.Error(err)
	}
}

func BenchmarkGet(b *testing.B) {
	sm := benchServer(b, localaws.Config{})
	for b.Loop() {
		if _, err := sm.GetSecretValue(b.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for name, cfg := range map[string]localaws.Config{"memory": {}, "file": {DataFile: filepath.Join(b.TempDir(), "data")}} {
		b.Run(name, func(b *testing.B) {
			sm := benchServer(b, cfg)
			for b.Loop() {
				if _, err := sm.UpdateSecret(b.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("app"), Description: aws.String("d")}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
