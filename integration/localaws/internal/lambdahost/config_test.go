package lambdahost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

func TestNewRefusesWhatLambdaWould(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		change func(*lambdahost.Config)
		want   string
	}{
		"no name":                    {func(c *lambdahost.Config) { c.Name = "" }, "give it a name"},
		"no ARN":                     {func(c *lambdahost.Config) { c.ARN = "" }, "give its ARN"},
		"no Region":                  {func(c *lambdahost.Config) { c.Region = "" }, "give its Region"},
		"no path":                    {func(c *lambdahost.Config) { c.Path = "" }, "give the path"},
		"nothing at the path":        {func(c *lambdahost.Config) { c.Path = filepath.Join(folder, "gone") }, "no such file"},
		"a folder":                   {func(c *lambdahost.Config) { c.Path = folder }, "not an executable file"},
		"a file that is not for it":  {func(c *lambdahost.Config) { c.Path = plain }, "not an executable file"},
		"a timeout beyond Lambda's":  {func(c *lambdahost.Config) { c.Timeout = time.Hour }, "out of range"},
		"memory beyond Lambda's":     {func(c *lambdahost.Config) { c.MemoryMB = 1 << 20 }, "out of range"},
		"a variable of Lambda's own": {func(c *lambdahost.Config) { c.Env["AWS_REGION"] = "mars-1" }, "AWS_REGION is Lambda's own"},
		"a variable without a name":  {func(c *lambdahost.Config) { c.Env["=x"] = "1" }, "cannot be the name"},
		"a NUL byte in a variable":   {func(c *lambdahost.Config) { c.Env["X"] = "secret\x00" }, "X holds a NUL byte"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(nil, "obedient")
			row.change(&c)
			_, err := lambdahost.New(c)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error with %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a variable's value: %v", err)
			}
		})
	}
}
