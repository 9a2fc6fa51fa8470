package lambdahost

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxAnswer is the most bytes that a function may answer to a synchronous
// invocation: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
// says 6 MB, and Lambda's own error gives this number.
const maxAnswer = 6291556

// runtimeAPI is what the process of the sandbox speaks to. Bodies and headers
// are those of https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
func (s *sandbox) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", s.handleNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", s.handleResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", s.handleError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", s.handleInitError)
	return mux
}

// handleNext gives out the next event, however long it is in coming. To ask
// for it says that the event before is done with.
func (s *sandbox) handleNext(w http.ResponseWriter, r *http.Request) {
	if !s.completeCurrent() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the event before is not answered yet")
		return
	}
	select {
	case e := <-s.events:
		s.handOut(w, e)
	case <-r.Context().Done():
	case <-s.exited:
	}
}

// completeCurrent ends the event that was answered. It reports false if it
// was not answered.
func (s *sandbox) completeCurrent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.polled {
		s.polled = true
		s.initTook = time.Since(s.started)
		close(s.ready)
	}
	e := s.current
	if e == nil || !e.taken {
		return true
	}
	if !e.answered {
		return false
	}
	s.current = nil
	close(e.done)
	return true
}

func (s *sandbox) handOut(w http.ResponseWriter, e *event) {
	s.mu.Lock()
	e.taken = true
	s.mu.Unlock()
	s.function.logStart(e.id)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Lambda-Runtime-Aws-Request-Id", e.id)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(e.deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", s.function.config.ARN)
	header.Set("Lambda-Runtime-Trace-Id", newTraceID(time.Now()))
	_, _ = w.Write(e.body) // a process that is gone is noticed by its end
}

// newTraceID returns the tracing header of a request that is not sampled:
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
func newTraceID(now time.Time) string {
	random := make([]byte, 20)
	_, _ = rand.Read(random) // it never fails: https://pkg.go.dev/crypto/rand#Read
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", now.Unix(), random[:12], random[12:])
}

func (s *sandbox) handleResponse(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !s.awaitsAnswer(id) {
		refuseID(w)
		return
	}
	// Read to the end also what is too long, so that the process gets to read
	// the refusal instead of a broken connection.
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the body could not be read")
		return
	}
	failure := failedWhileSending(r.Trailer)
	if size > maxAnswer {
		failure = &InvokeError{
			Type:    typeOversized,
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxAnswer),
		}
	}
	switch {
	case !s.answer(id, failure):
		refuseID(w)
	case size > maxAnswer:
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxAnswer))
	default:
		accept(w)
	}
}

// failedWhileSending returns the error that a runtime met when it had begun to
// send its answer, and that it tells in the trailer; else nil.
func failedWhileSending(trailer http.Header) *InvokeError {
	if trailer.Get(headerErrorType) == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil {
		body = nil // the type says enough
	}
	return decodeError(trailer, body)
}

func (s *sandbox) handleError(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !s.awaitsAnswer(id) {
		refuseID(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the body could not be read")
		return
	}
	if !s.answer(id, decodeError(r.Header, body)) {
		refuseID(w)
		return
	}
	accept(w)
}

func (s *sandbox) handleInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the body could not be read")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.polled {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the initialisation is over")
		return
	}
	s.initError = decodeError(r.Header, body)
	accept(w)
}

// awaitsAnswer reports whether id is the event that the process works on.
func (s *sandbox) awaitsAnswer(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isOpen(id)
}

func (s *sandbox) isOpen(id string) bool {
	return s.current != nil && s.current.id == id && s.current.taken && !s.current.answered
}

// answer keeps the answer for event id, nil for success. It reports false if
// there is no such event, or it is answered or given up already.
func (s *sandbox) answer(id string, failure *InvokeError) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpen(id) {
		return false
	}
	s.current.answered = true
	s.current.failure = failure
	return true
}

const headerErrorType = "Lambda-Runtime-Function-Error-Type"

// decodeError reads a runtime's error. One that cannot be read is an error
// all the same, of the type in the header if there is one.
func decodeError(header http.Header, body []byte) *InvokeError {
	var told struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		told.ErrorMessage = "the function failed and told no reason that could be read"
	}
	if told.ErrorType == "" {
		told.ErrorType = header.Get(headerErrorType)
	}
	if told.ErrorType == "" {
		told.ErrorType = typeUnknown
	}
	return &InvokeError{Type: told.ErrorType, Message: told.ErrorMessage}
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuseID(w http.ResponseWriter) {
	refuse(w, http.StatusBadRequest, "InvalidRequestID", "no event of this request id awaits an answer")
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": errorType, "errorMessage": message})
}
