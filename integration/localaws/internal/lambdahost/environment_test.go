package lambdahost_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheEnvironmentIsLambdasAndNothingOfTheHosts(t *testing.T) {
	t.Setenv("PGPASSWORD", "of the host")
	t.Setenv("AWS_PROFILE", "of the host")
	h := newHost(t, "obedient", memory(256), env("STRATEGY", "single"), env("TZ", "Europe/Vienna"))
	inv := event("show the environment")
	var sandbox string
	inv.Env = func(id string) map[string]string {
		sandbox = id
		return map[string]string{"AWS_ACCESS_KEY_ID": "AKIA of " + id}
	}
	if err := h.invoke(inv); err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, variable := range h.log.told("env") {
		name, value, _ := strings.Cut(variable, "=")
		got[name] = value
	}
	want := map[string]string{
		"FUNCTION":                        "obedient",
		"STRATEGY":                        "single",
		"AWS_ACCESS_KEY_ID":               "AKIA of " + sandbox,
		"_HANDLER":                        filepath.Base(path),
		"AWS_DEFAULT_REGION":              "eu-central-1",
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_NAME":        "rotation",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/rotation",
		"AWS_LAMBDA_LOG_STREAM_NAME":      "(date)/[$LATEST]" + sandbox,
		"AWS_LAMBDA_RUNTIME_API":          "127.0.0.1:(port)",
		"AWS_REGION":                      "eu-central-1",
		"LAMBDA_TASK_ROOT":                filepath.Dir(path),
		"LANG":                            "en_US.UTF-8",
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":                              "Europe/Vienna",
		// aws-lambda-go sets this one itself, for each event.
		"_X_AMZN_TRACE_ID": "(trace)",
	}
	for name, pattern := range map[string]string{
		"AWS_LAMBDA_LOG_STREAM_NAME": `^(\d{4}/\d\d/\d\d)/`,
		"AWS_LAMBDA_RUNTIME_API":     `:(\d+)$`,
		"_X_AMZN_TRACE_ID":           `^(Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0)$`,
	} {
		found := regexp.MustCompile(pattern).FindStringSubmatch(got[name])
		if found == nil {
			t.Errorf("%s=%s does not match %s", name, got[name], pattern)
			continue
		}
		placeholder := regexp.MustCompile(`\([a-z]+\)`).FindString(want[name])
		got[name] = strings.Replace(got[name], found[1], placeholder, 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{filepath.Dir(path)}, h.log.told("folder")); diff != "" {
		t.Errorf("the working folder (-want +got):\n%s", diff)
	}
}

func TestASandboxMayNotTakeLambdasVariables(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	inv := event("answer")
	inv.Env = func(string) map[string]string { return map[string]string{"_HANDLER": "other"} }
	err := h.invoke(inv)
	if err == nil || !strings.Contains(err.Error(), "_HANDLER is Lambda's own") {
		t.Errorf("got %v", err)
	}
	if pids := h.log.told("pid"); len(pids) != 0 {
		t.Error("a process was started")
	}
}
