package localaws

import "net/http"

// apiError is an error as the API answers it. Its message reaches the client,
// so it must never hold a value or a token other than a version's id.
type apiError struct {
	Code    string
	Message string
	Status  int
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// The error codes of Secrets Manager, and those that every AWS service has:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html.
const (
	codeInternal         = "InternalServiceError"
	codeInvalidParameter = "InvalidParameterException"
	codeInvalidRequest   = "InvalidRequestException"
	codeNotFound         = "ResourceNotFoundException"
	codeExists           = "ResourceExistsException"
	codeLimit            = "LimitExceededException"
	codeNextToken        = "InvalidNextTokenException"
	codeDecryption       = "DecryptionFailure"
	codeAccessDenied     = "AccessDeniedException"
	codeValidation       = "ValidationException"
	codeSerialization    = "SerializationException"
	codeUnknownOperation = "UnknownOperationException"
	codeMissingAuth      = "MissingAuthenticationTokenException"
	codeIncompleteAuth   = "IncompleteSignatureException"
	codeInvalidSignature = "InvalidSignatureException"
	codeUnknownClient    = "UnrecognizedClientException"
)

// refuse returns a client error. All of them have status 400 in this protocol,
// not-found included.
func refuse(code, message string) *apiError {
	return &apiError{Code: code, Message: message, Status: http.StatusBadRequest}
}

func internalError(message string) *apiError {
	return &apiError{Code: codeInternal, Message: message, Status: http.StatusInternalServerError}
}
