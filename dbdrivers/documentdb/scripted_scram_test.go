package documentdb_test

import (
	"crypto/md5" //nolint:gosec // the protocol's SCRAM-SHA-1 is of it
	"encoding/hex"
	"errors"
	"slices"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	sha1   = "SCRAM-SHA-1"
	sha256 = "SCRAM-SHA-256"
)

// conversation is one SASL conversation, of one mechanism.
type conversation struct {
	*scram.ServerConversation
	user *account
}

// converse begins a conversation of a database's users.
func (s *scripted) converse(mechanism, database string) (*conversation, error) {
	hash, c := scram.SHA1, &conversation{}
	if mechanism == sha256 {
		hash = scram.SHA256
	}
	server, err := hash.NewServer(func(username string) (scram.StoredCredentials, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		u := s.users[key(s.from(database), username)]
		if u == nil || !slices.Contains(u.mechanisms, mechanism) {
			return scram.StoredCredentials{}, errors.New("no such user")
		}
		c.user = u
		return u.credentials(hash, mechanism)
	})
	if err != nil {
		return nil, err
	}
	c.ServerConversation = server.NewConversation()
	return c, nil
}

// credentials are what a server keeps of a password. They are made once.
func (u *account) credentials(hash scram.HashGeneratorFcn, mechanism string) (scram.StoredCredentials, error) {
	if kept, ok := u.kept[mechanism]; ok {
		return kept, nil
	}
	made, err := u.makeCredentials(hash, mechanism)
	if u.kept == nil {
		u.kept = map[string]scram.StoredCredentials{}
	}
	u.kept[mechanism] = made
	return made, err
}

func (u *account) makeCredentials(hash scram.HashGeneratorFcn, mechanism string) (scram.StoredCredentials, error) {
	secret, err := stringprep.SASLprep.Prepare(u.password)
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	if mechanism == sha1 {
		sum := md5.Sum([]byte(u.name + ":mongo:" + u.password)) //nolint:gosec // as above
		secret = hex.EncodeToString(sum[:])
	}
	client, err := hash.NewClientUnprepped(u.name, secret, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentials(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096}), nil
}

// begin answers the first message of a conversation.
func (p *peer) begin(command bson.Raw, database string) (bson.D, error) {
	mechanism, _ := command.Lookup("mechanism").StringValueOK()
	_, payload, _ := command.Lookup("payload").BinaryOK()
	if !slices.Contains(p.server.Mechanisms, mechanism) {
		return nil, refusal{code: p.server.NoMechanism, text: "Unsupported mechanism [ -301 ]"}
	}
	c, err := p.server.converse(mechanism, database)
	if err != nil {
		return nil, err
	}
	said, err := c.Step(string(payload))
	if err != nil {
		return nil, notAuthentic
	}
	p.sasl = c
	return bson.D{{Key: "conversationId", Value: 1}, {Key: "done", Value: false}, {Key: "payload", Value: []byte(said)}, {Key: "ok", Value: 1.0}}, nil
}

// proceed answers the second message.
func (p *peer) proceed(command bson.Raw) (bson.D, error) {
	if p.sasl == nil {
		return nil, notAuthentic
	}
	_, payload, _ := command.Lookup("payload").BinaryOK()
	said, err := p.sasl.Step(string(payload))
	p.server.signedIn(p.sasl.Username(), err == nil)
	if err != nil {
		p.sasl = nil
		return nil, notAuthentic
	}
	p.server.mu.Lock()
	p.user = p.sasl.user // also read by who counts the sessions
	p.server.mu.Unlock()
	return bson.D{{Key: "conversationId", Value: 1}, {Key: "done", Value: true}, {Key: "payload", Value: []byte(said)}, {Key: "ok", Value: 1.0}}, nil
}

var notAuthentic = refusal{code: 18, name: "AuthenticationFailed", text: "Authentication failed."}
