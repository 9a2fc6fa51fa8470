package localaws_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// signing is how a raw request is made; what is altered after signing is told
// by tamper.
type signing struct {
	operation, body    string
	key, secret, token string
	service, region    string
	at                 time.Time
	unsignedLength     bool // as botocore does
	headers            map[string]string
	tamper             func(*http.Request)
}

func signed(operation, body string, with ...func(*signing)) signing {
	s := signing{operation: operation, body: body, key: localaws.AccessKey, secret: localaws.SecretKey,
		service: "secretsmanager", region: region, at: time.Now()}
	for _, f := range with {
		f(&s)
	}
	return s
}

// send sends a request and returns the status, and the error's code and
// message.
func (w *world) send(s signing) (int, string, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.Endpoint()+"/", bytes.NewReader([]byte(s.body)))
	w.must(err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+s.operation)
	for name, value := range s.headers {
		r.Header.Set(name, value)
	}
	length := r.ContentLength
	if s.unsignedLength {
		r.ContentLength = 0
	}
	hash := sha256.Sum256([]byte(s.body))
	w.must(v4.NewSigner().SignHTTP(w.Context(), aws.Credentials{AccessKeyID: s.key, SecretAccessKey: s.secret, SessionToken: s.token},
		r, hex.EncodeToString(hash[:]), s.service, s.region, s.at))
	r.ContentLength = length
	if s.tamper != nil {
		s.tamper(r)
	}
	res, err := http.DefaultClient.Do(r)
	w.must(err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	w.must(err)
	var answer struct {
		Type    string `json:"__type"`
		Message string
	}
	w.must(json.Unmarshal(text, &answer))
	return res.StatusCode, answer.Type, answer.Message
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	w := start(t)
	roleKey, roleSecret, session := w.FunctionCredentials("rotation")
	asRole := func(s *signing) { s.key, s.secret, s.token = roleKey, roleSecret, session }
	authorization := func(change func(string) string) func(*signing) {
		return func(s *signing) {
			s.tamper = func(r *http.Request) { r.Header.Set("Authorization", change(r.Header.Get("Authorization"))) }
		}
	}
	const mismatch = "The request signature we calculated does not match the signature you provided."
	for _, c := range []struct {
		story         string
		with          func(*signing)
		code, message string // empty for a request let in
	}{
		{"as it should be", func(*signing) {}, "", ""},
		{"without the length signed", func(s *signing) { s.unsignedLength = true }, "", ""},
		{"with one more header", func(s *signing) { s.headers = map[string]string{"X-Custom": "a  b"} }, "", ""},
		{"by a function's role", asRole, "", ""},
		{"four minutes ago", func(s *signing) { s.at = time.Now().Add(-4 * time.Minute) }, "", ""},

		{"by another secret key", func(s *signing) { s.secret = "tset" }, "InvalidSignatureException", mismatch},
		{"over another body", func(s *signing) {
			s.tamper = func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"MaxResults":2}`)) }
		}, "InvalidSignatureException", mismatch},
		{"over another header", func(s *signing) {
			s.tamper = func(r *http.Request) { r.Header.Set("X-Amz-Target", "secretsmanager.GetRandomPassword") }
		}, "InvalidSignatureException", mismatch},
		{"over a header that is gone", func(s *signing) {
			s.headers = map[string]string{"X-Custom": "a"}
			s.tamper = func(r *http.Request) { r.Header.Del("X-Custom") }
		}, "InvalidSignatureException", mismatch},
		{"over all but an AWS header", func(s *signing) {
			s.tamper = func(r *http.Request) { r.Header.Set("X-Amz-Extra", "x") }
		}, "InvalidSignatureException", "'x-amz-extra' must be a 'SignedHeader'"},
		{"with a digit altered", authorization(func(a string) string {
			last := byte('0')
			if a[len(a)-1] == '0' {
				last = '1'
			}
			return a[:len(a)-1] + string(last)
		}), "InvalidSignatureException", mismatch},
		{"six minutes ago", func(s *signing) { s.at = time.Now().Add(-6 * time.Minute) }, "InvalidSignatureException", "Signature expired: "},
		{"six minutes from now", func(s *signing) { s.at = time.Now().Add(6 * time.Minute) }, "InvalidSignatureException", "Signature not yet current: "},
		{"for another service", func(s *signing) { s.service = "kms" }, "InvalidSignatureException", "Credential should be scoped to correct service: 'secretsmanager'."},
		{"for what is no Region", func(s *signing) { s.region = "nowhere" }, "InvalidSignatureException", "valid region"},
		{"by an unknown key", func(s *signing) { s.key = "tset" }, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"by a role without its session", func(s *signing) { asRole(s); s.token = "" }, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"by a role with another session", func(s *signing) { asRole(s); s.token += "x" }, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"not at all", func(s *signing) { s.tamper = func(r *http.Request) { r.Header.Del("Authorization") } }, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"without a date", func(s *signing) { s.tamper = func(r *http.Request) { r.Header.Del("X-Amz-Date") } }, "IncompleteSignatureException", "'X-Amz-Date'"},
		{"without the signature", authorization(func(a string) string { a, _, _ = strings.Cut(a, ", Signature"); return a }), "IncompleteSignatureException", "Authorization header requires 'Signature' parameter."},
		{"with a scope cut short", authorization(func(a string) string { return strings.Replace(a, "/aws4_request", "", 1) }), "IncompleteSignatureException", "5 slash-delimited elements"},
		{"by another algorithm", authorization(func(a string) string { return strings.Replace(a, "AWS4-HMAC-SHA256", "Basic", 1) }), "IncompleteSignatureException", "AWS4-HMAC-SHA256"},
		{"with another day in its scope", func(s *signing) {
			authorization(func(a string) string {
				return strings.Replace(a, time.Now().UTC().Format("/20060102/"), "/20200101/", 1)
			})(s)
		}, "InvalidSignatureException", "Date in Credential scope does not match"},
	} {
		t.Run(c.story, func(t *testing.T) {
			w := &world{Server: w.Server, T: t}
			status, code, message := w.send(signed("ListSecrets", `{"MaxResults":1}`, c.with))
			if code != c.code || !strings.Contains(message, c.message) || (status == http.StatusOK) != (c.code == "") {
				t.Errorf("answered %d %s %q", status, code, message)
			}
		})
	}
}
