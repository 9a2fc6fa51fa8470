package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/engines"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/rotator"
)

// document is what a version of the secret holds, as far as it is needed to sign
// in and to know what the strategy promises. What is wrong with it otherwise, the
// function says.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
type document struct {
	fields map[string]any

	Engine   string `json:"engine"`
	Host     string `json:"host"`
	Port     any    `json:"port"`
	Username string `json:"username"`
	Database string `json:"dbname"`
	Admin    string `json:"masterarn"`
	SSL      any    `json:"ssl"`
	Ours     struct {
		Strategy      string   `json:"strategy"`
		SSLServerName string   `json:"sslServerName"`
		Twins         []string `json:"twins"`
	} `json:"dbrotation"`

	password dbdrivers.Password
}

// errDocument never quotes the text that it is about.
var errDocument = errors.New(`the secret is not a JSON object with "engine", "host", "username" and "password", in the forms that AWS documents; correct it`)

func newDocument(value string) (*document, error) {
	text := []byte(value)
	d := &document{}
	var password struct{ Password string }
	if json.Unmarshal(text, d) != nil || json.Unmarshal(text, &d.fields) != nil || json.Unmarshal(text, &password) != nil {
		return nil, errDocument
	}
	d.password = dbdrivers.NewPassword(password.Password)
	if d.Engine == "" || d.Host == "" || d.Username == "" || d.password.IsEmpty() {
		return nil, errDocument
	}
	return d, nil
}

// driver is that of the document's engine.
func (d *document) driver() (dbdrivers.Driver, error) {
	driver, ok := engines.Table()[d.Engine]
	if !ok {
		return nil, fmt.Errorf("the secret's engine is %q, which is none of %s", d.Engine, strings.Join(engines.Names(), ", "))
	}
	return driver, nil
}

// strategy is what the document says, where the function's environment does not.
func (d *document) strategy() (rotator.Strategy, error) {
	switch {
	case d.Ours.Strategy != "":
		return rotator.ParseStrategy(d.Ours.Strategy)
	case d.Admin != "":
		return rotator.Alternating, nil
	}
	return rotator.Single, nil
}

// next is whose credential the next version holds.
func (d *document) next(strategy rotator.Strategy) string {
	if strategy != rotator.Alternating {
		return d.Username
	}
	if twins := d.Ours.Twins; len(twins) == 2 {
		if d.Username == twins[0] {
			return twins[1]
		}
		return twins[0]
	}
	const suffix = "_clone"
	if canonical, isTwin := strings.CutSuffix(d.Username, suffix); isTwin {
		return canonical
	}
	return d.Username + suffix
}

// notParams are the members that a driver is not given as they stand.
var notParams = []string{
	"engine", "host", "port", "username", "password", "dbname", "masterarn", "ssl", "dbrotation", "dbInstanceIdentifier", "dbClusterIdentifier",
}

// login is the document as the function hands it to a driver.
func (d *document) login(traits dbdrivers.Traits, roots *x509.CertPool) (dbdrivers.Login, error) {
	login := dbdrivers.Login{
		Host: d.Host, Port: traits.DefaultPort, Username: d.Username, Password: d.password, Database: d.Database,
		TLS: tlsconf.Settings{Roots: roots, ServerName: d.Ours.SSLServerName}, Params: map[string]string{},
	}
	if login.Database == "" {
		login.Database = traits.DefaultDatabase
	}
	if port := fmt.Sprint(d.Port); d.Port != nil && port != "" {
		number, err := strconv.Atoi(strings.TrimSpace(port))
		if err != nil {
			return dbdrivers.Login{}, errors.New(`"port" is not a port number`)
		}
		login.Port = number
	}
	switch strings.ToLower(fmt.Sprint(d.SSL)) {
	case "true", "<nil>":
	case "false":
		login.TLS.Plaintext = true
	default:
		return dbdrivers.Login{}, errors.New(`"ssl" is not true or false`)
	}
	for key, value := range d.fields {
		if text, ok := value.(string); ok && text != "" && !slices.Contains(notParams, key) {
			login.Params[key] = text
		}
	}
	return login, nil
}

// differences are the members, other than the credential, that two documents do
// not have in common.
func (d *document) differences(other *document) []string {
	keys := map[string]bool{}
	for key := range d.fields {
		keys[key] = true
	}
	for key := range other.fields {
		keys[key] = true
	}
	maps.DeleteFunc(keys, func(key string, _ bool) bool {
		a, inA := d.fields[key]
		b, inB := other.fields[key]
		return key == "username" || key == "password" || inA && inB && reflect.DeepEqual(a, b)
	})
	return slices.Sorted(maps.Keys(keys))
}
