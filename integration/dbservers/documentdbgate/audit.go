package documentdbgate

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// Event is one audit event, in the shape of DocumentDB's: "authenticate" for a
// sign-in, and the command's name for a change of users or roles. It holds no
// password, no proof of one, and no custom data.
//
// What ServiceAdmin does is not audited: here it is a test's own.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/event-auditing.html
type Event struct {
	Type string `json:"atype"`
	// Time is in milliseconds since 1970.
	Time     int64       `json:"ts"`
	RemoteIP string      `json:"remote_ip"`
	Users    []EventUser `json:"users"`
	Param    EventParam  `json:"param"`
	// Result is the number of the error; 0 where there was none, 18 for a
	// password that is refused, 13 for what the user may not do.
	Result int32 `json:"result"`
}

// EventUser is a user of the session that an event happened in.
type EventUser struct {
	User string `json:"user"`
	DB   string `json:"db"`
}

// EventParam says what an event was about.
type EventParam struct {
	User      string   `json:"user,omitempty"`
	Role      string   `json:"role,omitempty"`
	DB        string   `json:"db,omitempty"`
	Mechanism string   `json:"mechanism,omitempty"`
	Fields    []string `json:"fields,omitempty"`
	// Application is what the client calls itself. DocumentDB's events do not have
	// it.
	Application string `json:"application,omitempty"`
}

// EventAuthenticate is the type of a sign-in's event.
const EventAuthenticate = "authenticate"

// auditor writes events, each at once and whole.
type auditor struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *session) auditSignIn(code int32) {
	if s.asking.User == ServiceAdmin {
		return
	}
	s.log(Event{
		Type:   EventAuthenticate,
		Param:  EventParam{User: s.asking.User, DB: s.asking.Database, Mechanism: s.asking.Mechanism, Application: s.application},
		Result: code,
	})
}

// auditChange tells of a command that changes users or roles, and of its
// outcome. Of what the command gives, the names of the fields are told.
func (s *session) auditChange(m opmsg.Message, err error) {
	if s.user.name == ServiceAdmin {
		return
	}
	e := Event{Type: m.Command(), Param: EventParam{DB: s.gate.plays().lives(m.Database()), Fields: m.Fields()[1:]}}
	name, _ := m.Body.Lookup(m.Command()).StringValueOK()
	if m.Command() == "createRole" {
		e.Param.Role = name
	} else {
		e.Param.User = name
	}
	if refused, is := asRefusal(err); is {
		e.Result = refused.code
	} else if err != nil {
		e.Result = broken(err).code
	}
	s.log(e)
}

func (s *session) log(e Event) {
	a := &s.gate.audit
	if a.out == nil {
		return
	}
	e.Time = time.Now().UnixMilli()
	e.RemoteIP = s.client.RemoteAddr().String()
	e.Users = []EventUser{}
	if s.user.name != "" {
		e.Users = append(e.Users, EventUser{User: s.user.name, DB: s.user.db})
	}
	line, err := json.Marshal(e)
	if err != nil {
		return // it has only strings and numbers
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// A log that cannot be written fails the test that reads it.
	_, _ = a.out.Write(append(line, '\n'))
}

// ParseEvent reads one line of a log.
func ParseEvent(line []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return Event{}, err
	}
	if e.Type == "" {
		return Event{}, errors.New("the line is no audit event: it has no atype")
	}
	return e, nil
}
