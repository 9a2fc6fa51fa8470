package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/rotator"
)

// The function's environment. The first eight are those of AWS's own rotation
// functions, with the same meaning.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_available-rotation-templates.html
const (
	envEndpoint           = "SECRETS_MANAGER_ENDPOINT"   // default: the Region's own
	envExcludeCharacters  = "EXCLUDE_CHARACTERS"         // set but empty: none
	envPasswordLength     = "PASSWORD_LENGTH"            // default: 32
	envExcludeNumbers     = "EXCLUDE_NUMBERS"            // true or false
	envExcludePunctuation = "EXCLUDE_PUNCTUATION"        // true or false
	envExcludeUppercase   = "EXCLUDE_UPPERCASE"          // true or false
	envExcludeLowercase   = "EXCLUDE_LOWERCASE"          // true or false
	envRequireEach        = "REQUIRE_EACH_INCLUDED_TYPE" // true or false

	envStrategy        = "STRATEGY"          // overrides what the secrets say
	envCreateTwins     = "CREATE_TWINS"      // true or false
	envTwins           = "TWINS"             // pairs of accounts as canonical:twin, separated by commas
	envOwnerRoles      = "OWNER_ROLES"       // roles, separated by commas
	envAdopt           = "ADOPT"             // reassign, or nothing
	envAdminMayReset   = "ADMIN_MAY_RESET"   // true or false
	envAdminHosts      = "ADMIN_HOSTS"       // host names, separated by commas
	envSSLRoots        = "SSL_ROOTS"         // path of a PEM file of further roots
	envWaitForReplicas = "WAIT_FOR_REPLICAS" // a duration such as 30s
)

// adoptReassign is the one value of ADOPT.
const adoptReassign = "reassign"

// environment is what the variables decide.
type environment struct {
	rotation rotator.Config
	endpoint string
}

// fromEnvironment reads the variables, and names every one that is wrong.
func fromEnvironment(lookup func(string) (string, bool)) (environment, error) {
	var e environment
	var faults []error
	// A variable that is set but empty is as good as absent: a template's
	// parameter with an empty default sets it so.
	given := func(name string) (string, bool) {
		value, ok := lookup(name)
		value = strings.TrimSpace(value)
		return value, ok && value != ""
	}
	fault := func(name, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s %s", name, fmt.Sprintf(format, args...)))
	}
	flag := func(name string) *bool {
		value, ok := given(name)
		if !ok {
			return nil
		}
		switch strings.ToLower(value) {
		case "true", "1", "y", "yes":
			return aws.Bool(true)
		case "false", "0", "n", "no":
			return aws.Bool(false)
		}
		fault(name, "is %q, not true or false", value)
		return nil
	}

	if value, ok := given(envEndpoint); ok {
		if u, err := url.Parse(value); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			fault(envEndpoint, "is %q, not a URL such as https://secretsmanager.eu-west-1.amazonaws.com", value)
		}
		e.endpoint = value
	}
	if value, ok := lookup(envExcludeCharacters); ok {
		e.rotation.Password.ExcludeCharacters = &value
	}
	if value, ok := given(envPasswordLength); ok {
		length, err := strconv.Atoi(value)
		if err != nil {
			fault(envPasswordLength, "is %q, not a number", value)
		} else {
			e.rotation.Password.Length = &length
		}
	}
	e.rotation.Password.ExcludeNumbers = flag(envExcludeNumbers)
	e.rotation.Password.ExcludePunctuation = flag(envExcludePunctuation)
	e.rotation.Password.ExcludeUppercase = flag(envExcludeUppercase)
	e.rotation.Password.ExcludeLowercase = flag(envExcludeLowercase)
	e.rotation.Password.RequireEachIncludedType = flag(envRequireEach)

	if value, ok := given(envStrategy); ok {
		strategy, err := rotator.ParseStrategy(value)
		if err != nil {
			fault(envStrategy, "is wrong: %v", err)
		}
		e.rotation.Strategy = strategy
	}
	e.rotation.CreateTwins = aws.ToBool(flag(envCreateTwins))
	twins, _ := given(envTwins)
	for _, listed := range list(twins) {
		pair, ok := twinPair(listed)
		if !ok {
			fault(envTwins, "has %q, not a pair such as app_a:app_b, the canonical account first", listed)
		}
		e.rotation.Twins = append(e.rotation.Twins, pair)
	}
	ownerRoles, _ := given(envOwnerRoles)
	e.rotation.OwnerRoles = list(ownerRoles)
	if value, ok := given(envAdopt); ok {
		if value != adoptReassign {
			fault(envAdopt, "is %q, not %s", value, adoptReassign)
		}
		e.rotation.Adopt = value == adoptReassign
	}
	e.rotation.AdminMayReset = aws.ToBool(flag(envAdminMayReset))
	adminHosts, _ := given(envAdminHosts)
	e.rotation.AdminHosts = list(adminHosts)
	if value, ok := given(envSSLRoots); ok {
		roots, err := tlsconf.RootsWith(value)
		if err != nil {
			fault(envSSLRoots, "cannot be used: %v", err)
		}
		e.rotation.Roots = roots
	}
	if value, ok := given(envWaitForReplicas); ok {
		wait, err := time.ParseDuration(value)
		if err != nil || wait < 0 {
			fault(envWaitForReplicas, "is %q, not a duration such as 30s", value)
		}
		e.rotation.WaitForReplicas = wait
	}
	if len(faults) > 0 {
		return environment{}, fmt.Errorf("reading the function's environment: %w", errors.Join(faults...))
	}
	return e, nil
}

// list are the members of a value that separates them by commas.
func list(value string) []string {
	var members []string
	for member := range strings.SplitSeq(value, ",") {
		if member = strings.TrimSpace(member); member != "" {
			members = append(members, member)
		}
	}
	return members
}

// twinPair reads CANONICAL:TWIN.
func twinPair(text string) (rotator.TwinPair, bool) {
	names := strings.Split(text, ":")
	if len(names) != 2 {
		return rotator.TwinPair{}, false
	}
	pair := rotator.TwinPair{Canonical: strings.TrimSpace(names[0]), Twin: strings.TrimSpace(names[1])}
	return pair, pair.Canonical != "" && pair.Twin != "" && pair.Canonical != pair.Twin
}

// client applies what the environment says about Secrets Manager.
func (e environment) client(options *secretsmanager.Options) {
	if e.endpoint != "" {
		options.BaseEndpoint = &e.endpoint
	}
}

// httpClient gives up on a route that does not exist long before the
// function's time is over: with the SDK's own time-outs (30 s to connect, none
// for an answer) a function in a VPC without an endpoint ends by time-out, and
// nothing says why.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(dialer *net.Dialer) { dialer.Timeout = 3 * time.Second }).
		WithTransportOptions(func(transport *http.Transport) {
			transport.TLSHandshakeTimeout = 3 * time.Second
			transport.ResponseHeaderTimeout = 10 * time.Second
		})
}
