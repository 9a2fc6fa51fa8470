package lambdahost

// The types of the errors that Lambda itself reports, where the function had
// no say in them. An error that the function returned has the type that its
// runtime gave it, for Go the name of the error's type.
const (
	typeExit       = "Runtime.ExitError"
	typeEntrypoint = "Runtime.InvalidEntrypoint"
	typeTimedOut   = "Sandbox.Timedout"
	typeOversized  = "Function.ResponseSizeTooLarge"
	typeUnknown    = "Runtime.Unknown"
)

// InvokeError is a function error: the invocation was made and failed. It is
// what Lambda's Invoke operation answers with the header
// X-Amz-Function-Error; see
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
type InvokeError struct {
	// Type is the errorType: the function's own, or one of Lambda's such as
	// "Runtime.ExitError" and "Sandbox.Timedout".
	Type string
	// Message is the errorMessage. It is the function's text: whoever shows
	// it trusts the function not to have put a secret there.
	Message string
	// TimedOut reports that the function, or its start, was ended because its
	// time was up.
	TimedOut bool
}

// Error returns the type and the message.
func (e *InvokeError) Error() string { return e.Type + ": " + e.Message }
