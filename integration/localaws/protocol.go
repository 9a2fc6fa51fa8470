package localaws

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/envelope"
	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "secretsmanager."
	// maxBody is well above the largest legal request: a value of 64 KiB whose
	// every byte is escaped.
	maxBody = 1 << 20
)

// request is a request that was let in.
type request struct {
	server *Server
	region string
	caller *credential
	// stale has reads answer as before the last write.
	stale bool
}

// operation is what an X-Amz-Target names.
type operation struct {
	stale bool // a fault may have it answer as before the last write
	do    func(*request, []byte) (any, error)
}

// handling makes an operation of a function of its input.
func handling[In any](f func(*request, *In) (any, error)) operation {
	return operation{do: func(rq *request, body []byte) (any, error) {
		in := new(In)
		if err := json.Unmarshal(body, in); err != nil {
			// The decoder's own message could quote the body.
			return nil, refuse(codeSerialization, "The request body is not valid JSON for this operation.")
		}
		return f(rq, in)
	}}
}

// reading is handling for an operation that a stale read can happen to.
func reading[In any](f func(*request, *In) (any, error)) operation {
	op := handling(f)
	op.stale = true
	return op
}

var operations = map[string]operation{
	"CancelRotateSecret":       handling((*request).cancelRotateSecret),
	"CreateSecret":             handling((*request).createSecret),
	"DeleteSecret":             handling((*request).deleteSecret),
	"DescribeSecret":           reading((*request).describeSecret),
	"GetRandomPassword":        handling((*request).getRandomPassword),
	"GetSecretValue":           reading((*request).getSecretValue),
	"ListSecretVersionIds":     reading((*request).listSecretVersionIDs),
	"ListSecrets":              handling((*request).listSecrets),
	"PutSecretValue":           handling((*request).putSecretValue),
	"RestoreSecret":            handling((*request).restoreSecret),
	"RotateSecret":             handling((*request).rotateSecret),
	"TagResource":              handling((*request).tagResource),
	"UntagResource":            handling((*request).untagResource),
	"UpdateSecret":             handling((*request).updateSecret),
	"UpdateSecretVersionStage": handling((*request).updateSecretVersionStage),
}

// serve answers one HTTP request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.goroutines.Done()
	call := Call{Time: time.Now(), Operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.answer(w, call, nil, refuse(codeSerialization, "The request body could not be read, or is larger than 1 MiB."))
		return
	}
	caller, region, refused := s.authenticate(r, body)
	call.Region = region
	if refused != nil {
		s.answer(w, call, nil, refused)
		return
	}
	call.SecretID = secretID(body)
	invocation := s.attribute(&call, caller)

	op, known := operations[call.Operation]
	if !known || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("X-Amz-Target"), targetPrefix) {
		s.answer(w, call, nil, refuse(codeUnknownOperation,
			"This server does not have the operation that the X-Amz-Target header names. It has Secrets Manager's, without BatchGetSecretValue, replication and resource policies."))
		return
	}
	rq := &request{server: s, region: region, caller: caller}
	fault := s.faults.take(call.Operation, call.Function, op.stale)
	if fault != nil {
		s.cfg.Log.Info("fault", "kind", fault.Kind.String(), "operation", call.Operation, "function", call.Function)
		switch fault.Kind {
		case FailBefore:
			s.answer(w, call, nil, fault.answer())
			return
		case KillBefore:
			s.kill(call.Function, invocation)
			s.cut(call, fault.Kind)
		case StaleRead:
			rq.stale = true
		}
	}
	out, err := op.do(rq, body)
	if fault != nil {
		switch fault.Kind {
		case FailAfter:
			s.cut(call, fault.Kind)
		case KillAfter:
			s.kill(call.Function, invocation)
			s.cut(call, fault.Kind)
		case Delay:
			s.pause(r, fault.Delay)
		}
	}
	s.answer(w, call, out, err)
}

// secretID returns the secret that a request names, for the trail.
func secretID(body []byte) string {
	var in struct{ SecretId, Name string }
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	if in.SecretId != "" {
		return in.SecretId
	}
	return in.Name
}

// attribute notes whose role made a call, and from which invocation.
func (s *Server) attribute(call *Call, caller *credential) *invoking {
	call.Function = caller.function
	fn := s.functions.named(caller.function)
	if fn == nil {
		return nil
	}
	var arn string
	if secret, err := s.store.Get(call.Region, call.SecretID); err == nil {
		arn = secret.ARN
	}
	invocation := fn.caller(caller.sandbox, call.Region, arn)
	if invocation != nil {
		call.InvocationID, call.Step = invocation.id, invocation.step
	}
	return invocation
}

// kill ends the process, or cancels the handler, that made a call.
func (s *Server) kill(function string, invocation *invoking) {
	if fn := s.functions.named(function); fn != nil && invocation != nil {
		fn.killCaller(invocation)
	}
}

// cut ends the connection without an answer. It does not return.
func (s *Server) cut(call Call, kind FaultKind) {
	call.ErrorCode = kind.String()
	s.called(call)
	panic(http.ErrAbortHandler)
}

// pause waits, unless the client leaves or the server closes.
func (s *Server) pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.running.Done():
	}
}

// called ends the record of a call.
func (s *Server) called(call Call) {
	call.Duration = time.Since(call.Time)
	s.trail.calls.add(call)
	attrs := []any{"region", call.Region, "operation", call.Operation, "secret", call.SecretID, "ms", call.Duration.Milliseconds()}
	if call.Function != "" {
		attrs = append(attrs, "function", call.Function, "step", call.Step)
	}
	if call.ErrorCode != "" {
		attrs = append(attrs, "error", call.ErrorCode)
	}
	s.cfg.Log.Info("call", attrs...)
}

// answer writes what an operation returned, and records the call first: a
// client that has its answer finds the call in the trail.
func (s *Server) answer(w http.ResponseWriter, call Call, out any, err error) {
	status := http.StatusOK
	if err != nil {
		e := s.asAPIError(err)
		call.ErrorCode, status = e.Code, e.Status
		out = struct {
			Type    string `json:"__type"`
			Message string
		}{e.Code, e.Message}
	}
	var body []byte
	if out != nil { // tagging answers an empty body
		text, err := json.Marshal(out)
		if err != nil {
			panic(err) // our own structs
		}
		body = text
	}
	s.called(call)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-RequestId", uuid.NewString())
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left has no use for the error
}

// asAPIError tells an error in the words of the API.
func (s *Server) asAPIError(err error) *apiError {
	var e *apiError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, secretstore.ErrNotFound):
		return refuse(codeNotFound, "Secrets Manager can't find the specified secret.")
	case errors.Is(err, secretstore.ErrTooManyVersions):
		return refuse(codeLimit, "The request failed because it would exceed one of the Secrets Manager quotas: the secret has as many versions as it may, and those younger than 24 hours are not removed.")
	case errors.Is(err, envelope.ErrWrongKey):
		return refuse(codeDecryption, "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
	default:
		// The client learns nothing of the inside; who runs the server does.
		s.cfg.Log.Error("internal error", "error", err.Error())
		return internalError("An error occurred on the server side.")
	}
}
