package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

func TestTheOwnerIsAsked(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name            string
		given, terminal bool
		answer          string
		says            string // "" = goes on
		asks            bool
	}{
		{name: "by a flag", given: true},
		{name: "at a terminal", terminal: true, answer: " yes \nmore", asks: true},
		{name: "at a terminal, and says no", terminal: true, answer: "no\n", says: "not confirmed; nothing was changed", asks: true},
		{name: "at a terminal, and says half of it", terminal: true, answer: "y\n", says: "not confirmed", asks: true},
		{name: "at a terminal, and says nothing", terminal: true, answer: "", says: "not confirmed", asks: true},
		{name: "without a terminal", answer: "yes\n", says: "say -yes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := consent(t.Context(), row.given, row.terminal, strings.NewReader(row.answer), &report{out: &out})
			if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("error %v, want %q", err, row.says)
			}
			if asked := strings.Contains(out.String(), "Type yes"); asked != row.asks {
				t.Errorf("asked: %t, want %t", asked, row.asks)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	in, stuck := io.Pipe()
	defer func() { _ = stuck.Close() }()
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := consent(ctx, false, true, in, &report{out: io.Discard}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted while it asks: %v", err)
	}
}

func TestAPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := &report{out: &out}
	for _, password := range []string{"planted", "planted-longer", `pl"an'ted`, "ab"} {
		r.hide(dbdrivers.NewPassword(password))
	}
	for _, text := range []string{"of planted", "of planted-longer", `of pl"an'ted`, `of pl\"an'ted`, `of pl"an''ted`} {
		r.row("an error", text)
		r.ask(text)
		if got := r.scrubbed(text); got != "of [redacted]" {
			t.Errorf("%q is told as %q", text, got)
		}
	}
	if strings.Contains(out.String(), "planted") || strings.Contains(out.String(), "an'") || !strings.Contains(out.String(), "[redacted]") {
		t.Errorf("it printed %q", out.String())
	}
	if got := r.scrubbed("a table"); got != "a table" {
		t.Errorf("a password of two letters blots out words: %q", got)
	}
}

// TestTheReplicasOfTheSecretAreInStep: the embedded AWS has no replicas.
func TestTheReplicasOfTheSecretAreInStep(t *testing.T) {
	t.Parallel()
	replica := func(region string, status types.StatusType) types.ReplicationStatusType {
		return types.ReplicationStatusType{Region: &region, Status: status, StatusMessage: aws.String("the key is gone")}
	}
	for _, row := range []struct {
		name     string
		replicas []types.ReplicationStatusType
		later    string // what DescribeSecret answers
		says     string
	}{
		{name: "none", says: "replicas           none"},
		{name: "all are", replicas: []types.ReplicationStatusType{replica("us-east-2", types.StatusTypeInSync), replica("eu-west-3", types.StatusTypeInSync)},
			says: "ok   the secret's replicas have it: eu-west-3 InSync, us-east-2 InSync"},
		{name: "one failed", replicas: []types.ReplicationStatusType{replica("us-east-2", types.StatusTypeInSync), replica("eu-west-3", types.StatusTypeFailed)},
			says: "NO   not all replicas of the secret have it: eu-west-3 Failed: the key is gone, us-east-2 InSync"},
		{name: "one comes late", replicas: []types.ReplicationStatusType{replica("us-east-2", types.StatusTypeInProgress)}, later: "InSync",
			says: "ok   the secret's replicas have it: us-east-2 InSync"},
		{name: "one never comes", replicas: []types.ReplicationStatusType{replica("us-east-2", types.StatusTypeInProgress)}, later: "InProgress",
			says: "NO   not all replicas of the secret have it: us-east-2 InProgress"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				_, _ = io.WriteString(w, `{"ReplicationStatus": [{"Region": "us-east-2", "Status": "`+row.later+`"}]}`)
			}))
			t.Cleanup(service.Close)
			var out bytes.Buffer
			p := &prover{options: options{timeout: 1500 * time.Millisecond}, report: &report{out: &out}}
			p.client = secretsmanager.New(secretsmanager.Options{Region: region, BaseEndpoint: &service.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
			hold := func(ok bool, yes, no string) {
				if ok {
					p.proof(yes)
				} else {
					p.fault(no)
				}
			}
			if err := p.checkReplicas(t.Context(), description{&secretsmanager.DescribeSecretOutput{ReplicationStatus: row.replicas}}, hold); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), row.says) {
				t.Errorf("it says %q, want %q", out.String(), row.says)
			}
			if (asked.Load() > 0) != (row.later != "") {
				t.Errorf("it asked %d times", asked.Load())
			}
		})
	}
}
