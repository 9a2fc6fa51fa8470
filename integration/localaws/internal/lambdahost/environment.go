package lambdahost

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reserved are the variables that the host sets and nobody may override, as in
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html.
// The role's credentials are reserved there too; here they come in by
// Invocation.Env, or by Config.Env where a test has only one role.
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID",
	"AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT",
}

// version is what a function is called whose versions are not published.
const version = "$LATEST"

// checkVariables refuses what cannot be, or may not be, a function's variable.
// It names no value.
func checkVariables(env map[string]string) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			faults = append(faults, fmt.Errorf("%q cannot be the name of an environment variable", name))
		case strings.ContainsRune(env[name], 0):
			faults = append(faults, fmt.Errorf("the environment variable %s holds a NUL byte", name))
		case slices.Contains(reserved, name):
			faults = append(faults, fmt.Errorf("the environment variable %s is Lambda's own: leave it out", name))
		}
	}
	return errors.Join(faults...)
}

// environment is all that a process of the function finds in its environment:
// Lambda's variables, the function's, and those of this sandbox.
func (c Config) environment(sandbox, runtimeAPI string, started time.Time, own map[string]string) []string {
	env := map[string]string{
		"TZ":   ":UTC",
		"LANG": "en_US.UTF-8",
		"PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
	}
	maps.Copy(env, c.Env)
	maps.Copy(env, own)
	maps.Copy(env, map[string]string{
		"_HANDLER":                        filepath.Base(c.Path),
		"AWS_DEFAULT_REGION":              c.Region,
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(c.MemoryMB),
		"AWS_LAMBDA_FUNCTION_NAME":        c.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     version,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + c.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      started.UTC().Format("2006/01/02/") + "[" + version + "]" + sandbox,
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_REGION":                      c.Region,
		"LAMBDA_TASK_ROOT":                filepath.Dir(c.Path),
	})
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
