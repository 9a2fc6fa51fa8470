package localaws

import (
	"time"

	"github.com/google/uuid"
)

// Event is a service event as CloudTrail records it and EventBridge delivers it
// in "detail". See
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html.
type Event struct {
	EventVersion        string              `json:"eventVersion"`
	UserIdentity        EventIdentity       `json:"userIdentity"`
	EventTime           time.Time           `json:"eventTime"`
	EventSource         string              `json:"eventSource"`
	EventName           string              `json:"eventName"`
	AWSRegion           string              `json:"awsRegion"`
	SourceIPAddress     string              `json:"sourceIPAddress"`
	UserAgent           string              `json:"userAgent"`
	ErrorMessage        string              `json:"errorMessage,omitempty"`
	RequestParameters   map[string]string   `json:"requestParameters"` // null in service events
	ResponseElements    map[string]string   `json:"responseElements"`  // null in service events
	AdditionalEventData EventAdditionalData `json:"additionalEventData"`
	RequestID           string              `json:"requestID"`
	EventID             string              `json:"eventID"`
	ReadOnly            bool                `json:"readOnly"`
	EventType           string              `json:"eventType"`
	ManagementEvent     bool                `json:"managementEvent"`
	RecipientAccountID  string              `json:"recipientAccountId"`
	EventCategory       string              `json:"eventCategory"`
}

// EventIdentity says on whose behalf an event happened.
type EventIdentity struct {
	AccountID string `json:"accountId"`
	InvokedBy string `json:"invokedBy"`
}

// EventAdditionalData names the secret of an event. Filters on a secret look
// here: requestParameters is null.
type EventAdditionalData struct {
	SecretID string `json:"SecretId"` // the full ARN
}

// The names of the events of a rotation, and of the test that
// RotateImmediately=false makes.
const (
	eventRotationStarted   = "RotationStarted"
	eventRotationSucceeded = "RotationSucceeded"
	eventRotationFailed    = "RotationFailed"
	eventRotationAbandoned = "RotationAbandoned"
	eventTestStarted       = "TestRotationStarted"
	eventTestSucceeded     = "TestRotationSucceeded"
	eventTestFailed        = "TestRotationFailed"
)

const serviceHost = "secretsmanager.amazonaws.com"

// record adds a service event about a secret.
func (s *Server) record(name, region, secretARN, errorMessage string) {
	s.trail.events.add(Event{
		EventVersion:        "1.08",
		UserIdentity:        EventIdentity{AccountID: Account, InvokedBy: serviceHost},
		EventTime:           s.cfg.Now().UTC().Truncate(time.Second),
		EventSource:         serviceHost,
		EventName:           name,
		AWSRegion:           region,
		SourceIPAddress:     serviceHost,
		UserAgent:           serviceHost,
		ErrorMessage:        errorMessage,
		AdditionalEventData: EventAdditionalData{SecretID: secretARN},
		RequestID:           "Rotation-" + secretARN + "-" + uuid.NewString(),
		EventID:             uuid.NewString(),
		EventType:           "AwsServiceEvent",
		ManagementEvent:     true,
		RecipientAccountID:  Account,
		EventCategory:       "Management",
	})
	if errorMessage == "" {
		s.cfg.Log.Info("event", "region", region, "event", name, "secret", secretARN)
	} else {
		s.cfg.Log.Info("event", "region", region, "event", name, "secret", secretARN, "message", errorMessage)
	}
}
