package localaws

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	signingName      = "secretsmanager"
	amzDateLayout    = "20060102T150405Z"
	// maxSkew is how far the time of a signature may be from ours.
	maxSkew = 5 * time.Minute
)

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

var regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)

// authorization is the content of a Signature Version 4 header. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html.
type authorization struct {
	accessKey, date, region, service string
	signedHeaders                    []string
	signature                        string
}

func parseAuthorization(header string) (authorization, *apiError) {
	if header == "" {
		return authorization{}, refuse(codeMissingAuth, "Missing Authentication Token")
	}
	algorithm, rest, _ := strings.Cut(header, " ")
	if algorithm != signingAlgorithm {
		return authorization{}, refuse(codeIncompleteAuth, "Unsupported algorithm in the Authorization header: sign with "+signingAlgorithm+".")
	}
	fields := make(map[string]string)
	for item := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		fields[key] = value
	}
	for _, key := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[key] == "" {
			return authorization{}, refuse(codeIncompleteAuth, "Authorization header requires '"+key+"' parameter.")
		}
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 {
		return authorization{}, refuse(codeIncompleteAuth, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	if scope[4] != "aws4_request" {
		return authorization{}, refuse(codeInvalidSignature, "Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	return authorization{
		accessKey: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"),
		signature:     fields["Signature"],
	}, nil
}

// authenticate returns who signed a request and for which Region.
func (s *Server) authenticate(r *http.Request, body []byte) (*credential, string, *apiError) {
	auth, refused := parseAuthorization(r.Header.Get("Authorization"))
	if refused != nil {
		return nil, "", refused
	}
	if auth.service != signingName {
		return nil, "", refuse(codeInvalidSignature, "Credential should be scoped to correct service: '"+signingName+"'.")
	}
	if !regionName.MatchString(auth.region) {
		return nil, "", refuse(codeInvalidSignature, "Credential should be scoped to a valid region.")
	}
	signed, refused := signingTime(r, auth)
	if refused != nil {
		return nil, auth.region, refused
	}
	who := s.credentials.withKey(auth.accessKey)
	if who == nil || !who.sessionMatches(r.Header.Get("X-Amz-Security-Token")) {
		return nil, auth.region, refuse(codeUnknownClient, "The security token included in the request is invalid.")
	}
	if refused := checkSignedHeaders(r, auth); refused != nil {
		return nil, auth.region, refused
	}
	expected, err := s.expectedSignature(r, body, auth, who, signed)
	if err != nil || subtle.ConstantTimeCompare([]byte(expected), []byte(auth.signature)) != 1 {
		return nil, auth.region, refuse(codeInvalidSignature, mismatch)
	}
	return who, auth.region, nil
}

// signingTime returns when a request was signed, and refuses it when that is
// too far from now. The wall clock counts, whatever Config.Now is.
func signingTime(r *http.Request, auth authorization) (time.Time, *apiError) {
	header := r.Header.Get("X-Amz-Date")
	if header == "" {
		return time.Time{}, refuse(codeIncompleteAuth, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	signed, err := time.Parse(amzDateLayout, header)
	if err != nil {
		return time.Time{}, refuse(codeIncompleteAuth, "Date must be in ISO-8601 'basic format'.")
	}
	if auth.date != header[:len("20060102")] {
		return time.Time{}, refuse(codeInvalidSignature, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	}
	now := time.Now().UTC()
	if earliest := now.Add(-maxSkew); signed.Before(earliest) {
		return time.Time{}, refuse(codeInvalidSignature, "Signature expired: "+header+" is now earlier than "+
			earliest.Format(amzDateLayout)+" ("+now.Format(amzDateLayout)+" - 5 min.)")
	}
	if latest := now.Add(maxSkew); signed.After(latest) {
		return time.Time{}, refuse(codeInvalidSignature, "Signature not yet current: "+header+" is still later than "+
			latest.Format(amzDateLayout)+" ("+now.Format(amzDateLayout)+" + 5 min.)")
	}
	return signed, nil
}

// checkSignedHeaders demands a signature over the host and everything that AWS
// reads from the headers, above all the operation.
func checkSignedHeaders(r *http.Request, auth authorization) *apiError {
	if !slices.Contains(auth.signedHeaders, "host") {
		return refuse(codeInvalidSignature, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(auth.signedHeaders, lower) {
			return refuse(codeInvalidSignature, "'"+lower+"' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	return nil
}

// expectedSignature signs what the client says it signed, by the SDK's own
// signer.
func (s *Server) expectedSignature(r *http.Request, body []byte, auth authorization, who *credential, signed time.Time) (string, error) {
	again := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:   r.Host,
		Header: make(http.Header),
	}
	for _, name := range auth.signedHeaders {
		switch name {
		case "host", "x-amz-date": // the signer adds both by itself
		case "content-length": // the Go SDK signs it, others do not
			again.ContentLength = r.ContentLength
		default:
			// Under a name in lower case, for the signer leaves some headers
			// out by their usual spelling, and a client may have signed them.
			if values := r.Header.Values(name); len(values) > 0 {
				again.Header[name] = values
			}
		}
	}
	hash := sha256.Sum256(body)
	err := v4.NewSigner(func(o *v4.SignerOptions) {
		o.DisableSessionToken = true // among the headers already, if it was signed
	}).SignHTTP(r.Context(),
		aws.Credentials{AccessKeyID: who.accessKey, SecretAccessKey: who.secretKey},
		again, hex.EncodeToString(hash[:]), signingName, auth.region, signed)
	if err != nil {
		return "", err
	}
	made, refused := parseAuthorization(again.Header.Get("Authorization"))
	if refused != nil {
		return "", refused
	}
	return made.signature, nil
}
