package localaws

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"sync"
)

// The credentials of the account's administrator.
const (
	AccessKey = "test"
	SecretKey = "test"
)

// A credential signs requests on behalf of one caller.
type credential struct {
	accessKey, secretKey, sessionToken string

	function string // whose role this is; empty for the administrator
	sandbox  string // the process that has it; empty for a handler
}

// sessionMatches reports whether token is the one of this credential.
func (c *credential) sessionMatches(token string) bool {
	return subtle.ConstantTimeCompare([]byte(c.sessionToken), []byte(token)) == 1
}

// environment is what Lambda puts into a process's environment for its role,
// and what makes the SDKs in it talk to endpoint rather than to AWS. See
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html and
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.
func (c *credential) environment(endpoint string) map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID":                c.accessKey,
		"AWS_SECRET_ACCESS_KEY":            c.secretKey,
		"AWS_SESSION_TOKEN":                c.sessionToken,
		"AWS_ENDPOINT_URL":                 endpoint,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
		"AWS_EC2_METADATA_DISABLED":        "true",
	}
}

// credentials are all that the server has given out.
type credentials struct {
	mu    sync.Mutex
	byKey map[string]*credential
	roles map[string]*credential // by function
}

func newCredentials() *credentials {
	admin := &credential{accessKey: AccessKey, secretKey: SecretKey}
	return &credentials{
		byKey: map[string]*credential{AccessKey: admin},
		roles: make(map[string]*credential),
	}
}

// withKey returns the credential of an access key, or nil.
func (c *credentials) withKey(accessKey string) *credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKey[accessKey]
}

// ofFunction returns the credential of a function's role, the same each time.
func (c *credentials) ofFunction(name string) *credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	if role := c.roles[name]; role != nil {
		return role
	}
	role := newSession(name, "")
	c.roles[name], c.byKey[role.accessKey] = role, role
	return role
}

// ofSandbox returns a new credential for one process of a function.
func (c *credentials) ofSandbox(function, sandbox string) *credential {
	session := newSession(function, sandbox)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey[session.accessKey] = session
	return session
}

// newSession makes temporary credentials in the form of AWS's.
func newSession(function, sandbox string) *credential {
	random := make([]byte, 10+30+96)
	_, _ = rand.Read(random) // never fails: crypto/rand ends the process instead
	return &credential{
		accessKey:    "ASIA" + base32.StdEncoding.EncodeToString(random[:10]),
		secretKey:    base64.StdEncoding.EncodeToString(random[10:40]),
		sessionToken: base64.StdEncoding.EncodeToString(random[40:]),
		function:     function,
		sandbox:      sandbox,
	}
}
