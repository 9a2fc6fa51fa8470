package rotator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// The document's fields, as AWS documents them, and the one key that is ours.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
const (
	fieldEngine   = "engine"
	fieldHost     = "host"
	fieldPort     = "port"
	fieldUsername = "username"
	fieldPassword = "password"
	fieldDatabase = "dbname"
	fieldAdmin    = "masterarn"
	fieldSSL      = "ssl"
	fieldOurs     = "dbrotation"
)

var knownFields = []string{
	fieldEngine, fieldHost, fieldPort, fieldUsername, fieldPassword, fieldDatabase, fieldAdmin, fieldSSL, fieldOurs,
	"dbInstanceIdentifier", "dbClusterIdentifier",
}

// The largest value that Secrets Manager stores, in bytes.
const greatestValue = 65536

// document is a secret's value, decoded. It keeps the text it came from, and
// is encoded again by replacing two strings in it: whatever else the secret
// holds, to the order and the number forms, survives.
type document struct {
	text    string
	members []member

	engine    string
	host      string
	port      int // 0: the engine's default
	username  string
	password  dbdrivers.Password
	database  string
	adminARN  string
	plaintext bool
	params    map[string]string
	settings  settings
}

// member is one top-level member of the document and where its value stands
// in the text.
type member struct {
	key        string
	start, end int
}

// settings are the members of our own key.
type settings struct {
	Strategy      string
	Hash          string
	SSLServerName string
	OwnerRole     string
	Twins         []string
	PasswordPolicy
}

// setting is one member of our own key, and where it is kept.
type setting struct {
	key    string
	target any
	kind   string // what its value is, in words
}

// known are the members that our own key may have.
func (s *settings) known() []setting {
	const text, flag = "a string", "true or false"
	return []setting{
		{"strategy", &s.Strategy, text},
		{"hash", &s.Hash, text},
		{"passwordLength", &s.Length, "a whole number"},
		{"excludeCharacters", &s.ExcludeCharacters, text},
		{"excludeNumbers", &s.ExcludeNumbers, flag},
		{"excludePunctuation", &s.ExcludePunctuation, flag},
		{"excludeUppercase", &s.ExcludeUppercase, flag},
		{"excludeLowercase", &s.ExcludeLowercase, flag},
		{"requireEachIncludedType", &s.RequireEachIncludedType, flag},
		{"sslServerName", &s.SSLServerName, text},
		{"ownerRole", &s.OwnerRole, text},
		{"twins", &s.Twins, "a list of strings"},
	}
}

// Fault is one thing that is wrong with a secret's document.
type Fault struct {
	// Field is the member's key; empty where the whole document is meant.
	Field string
	// Problem says what is wrong and what would be right. It never quotes a
	// password.
	Problem string
}

// String returns "field: problem".
func (f Fault) String() string {
	if f.Field == "" {
		return f.Problem
	}
	return fmt.Sprintf("%q %s", f.Field, f.Problem)
}

// DocumentError lists all the faults of one secret's document at once.
type DocumentError struct {
	// SecretARN and Label say which document it is.
	SecretARN, Label string
	Faults           []Fault
}

// Error names the secret, the label and every fault.
func (e *DocumentError) Error() string {
	texts := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		texts[i] = fault.String()
	}
	return fmt.Sprintf("the %s version of %s has %s: %s",
		e.Label, e.SecretARN, plural(len(texts), "fault"), strings.Join(texts, "; "))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

const redacted = "[redacted]"

// String returns a placeholder: a document holds a password.
func (d *document) String() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (d *document) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a placeholder.
func (d *document) LogValue() slog.Value { return slog.StringValue(redacted) }

// parse reads a document as far as it can be read without knowing the engine.
// The document is usable only if there is no fault.
func parse(value Value) (*document, []Fault) {
	d := &document{text: value.Reveal()}
	if err := d.locate(); err != nil {
		return d, []Fault{{Problem: err.Error()}}
	}
	var faults []Fault
	fault := func(field, format string, args ...any) {
		faults = append(faults, Fault{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	seen := map[string]bool{}
	for _, m := range d.members {
		if seen[m.key] {
			fault(m.key, "occurs more than once; keep one")
		}
		seen[m.key] = true
	}
	text := func(field string) string {
		s, problem := d.string(field)
		if problem != "" {
			fault(field, "%s", problem)
		}
		return s
	}
	required := func(field string) string {
		if raw, ok := d.raw(field); !ok || raw == "null" {
			fault(field, "is missing%s", d.nearby(field))
			return ""
		}
		s, problem := d.string(field)
		if problem == "" && s == "" {
			problem = "is empty"
		}
		if problem != "" {
			fault(field, "%s", problem)
		}
		return s
	}

	d.engine = required(fieldEngine)
	d.host = text(fieldHost)
	if problem := hostProblem(d.host); d.host != "" && problem != "" {
		fault(fieldHost, "%s", problem)
	}
	d.username = required(fieldUsername)
	d.password = dbdrivers.NewPassword(required(fieldPassword))
	d.database = text(fieldDatabase)
	for field, s := range map[string]string{fieldUsername: d.username, fieldPassword: d.password.Reveal(), fieldDatabase: d.database} {
		if strings.ContainsRune(s, 0) {
			fault(field, "holds a zero byte, which no database accepts")
		}
	}
	var problem string
	if d.port, problem = d.portNumber(); problem != "" {
		fault(fieldPort, "%s", problem)
	}
	if d.plaintext, problem = d.plaintextWanted(); problem != "" {
		fault(fieldSSL, "%s", problem)
	}
	d.adminARN = text(fieldAdmin)
	if d.adminARN != "" && !secretARN.MatchString(d.adminARN) {
		fault(fieldAdmin, "is not the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME)")
	}
	for _, problem := range d.readSettings() {
		fault(fieldOurs, "%s", problem)
	}
	d.readParams()
	return d, faults
}

var secretARN = regexp.MustCompile(`^arn:aws[a-z0-9-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^\s]{1,512}$`)

// locate finds the top-level members of the document.
func (d *document) locate() error {
	if !utf8.ValidString(d.text) {
		return errors.New("the secret is not UTF-8 text")
	}
	notAnObject := errors.New(`the secret is not a JSON object such as {"engine": "postgres", "host": "...", "username": "...", "password": "..."}`)
	decoder := json.NewDecoder(strings.NewReader(d.text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return notAnObject
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return notAnObject
		}
		key, ok := token.(string)
		if !ok {
			return notAnObject
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return notAnObject
		}
		end := int(decoder.InputOffset())
		d.members = append(d.members, member{key: key, start: end - len(value), end: end})
	}
	if _, err := decoder.Token(); err != nil {
		return notAnObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the secret's JSON object; keep the object alone")
	}
	return nil
}

// raw returns the text of a member's value.
func (d *document) raw(key string) (string, bool) {
	for _, m := range d.members {
		if m.key == key {
			return d.text[m.start:m.end], true
		}
	}
	return "", false
}

// nearby hints at a key that differs only in case: keys are exact.
func (d *document) nearby(field string) string {
	for _, m := range d.members {
		if m.key != field && strings.EqualFold(m.key, field) {
			return fmt.Sprintf(" (there is %q; keys are exact)", m.key)
		}
	}
	return ""
}

// string returns a member that is text. An absent one, and null, is "".
func (d *document) string(field string) (text, problem string) {
	raw, ok := d.raw(field)
	if !ok || raw == "null" {
		return "", ""
	}
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		return "", "is not a JSON string"
	}
	return text, ""
}

func (d *document) portNumber() (port int, problem string) {
	raw, ok := d.raw(fieldPort)
	if !ok || raw == "null" || raw == `""` {
		return 0, ""
	}
	text := raw
	if strings.HasPrefix(raw, `"`) {
		text, _ = d.string(fieldPort)
	}
	port, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil && text == raw {
		// A JSON number may be written 5432.0: some languages have no other.
		port, err = wholeNumber(raw)
	}
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Sprintf("is %s, not a port number from 1 to 65535", abbreviate(raw))
	}
	return port, ""
}

func wholeNumber(text string) (int, error) {
	number, err := strconv.ParseFloat(text, 64)
	if err == nil && number != math.Trunc(number) {
		err = strconv.ErrSyntax
	}
	return int(number), err
}

func (d *document) plaintextWanted() (plaintext bool, problem string) {
	raw, ok := d.raw(fieldSSL)
	if !ok || raw == "null" {
		return false, ""
	}
	switch strings.ToLower(raw) {
	case "true", `"true"`:
		return false, ""
	case "false", `"false"`:
		return true, ""
	}
	return false, fmt.Sprintf("is %s, not true or false; without it TLS is used and verified", abbreviate(raw))
}

// abbreviate quotes a value that was meant to be something short. What is
// longer might be a password in the wrong place.
func abbreviate(raw string) string {
	if len(raw) > 9 || strings.ContainsAny(raw, "{[") {
		return "something else"
	}
	return raw
}

// hostProblem says why a host could not be dialled as it stands. What a client
// library would read as a socket's path, a list of hosts or a URL is refused
// here, so that every library is given a name or an address.
func hostProblem(host string) string {
	// A zone is of this machine's own network, and may hold any character.
	if address, err := netip.ParseAddr(host); err == nil && address.Zone() == "" {
		return ""
	}
	switch {
	case strings.Contains(host, "://"):
		return "is a URL; give the host alone"
	case hostWithPort.MatchString(host):
		return `carries a port; give the port in "port"`
	case !hostName.MatchString(host) || len(host) > 253:
		return "is neither a host name nor an IP address"
	}
	return ""
}

var (
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	hostWithPort = regexp.MustCompile(`^[^:]+:[0-9]+$`)
)

// readSettings reads our own key and lists all that is wrong with it.
func (d *document) readSettings() (problems []string) {
	raw, ok := d.raw(fieldOurs)
	if !ok || raw == "null" {
		return nil
	}
	ours := document{text: raw}
	if ours.locate() != nil {
		return []string{"is not a JSON object"}
	}
	known := d.settings.known()
	var seen []string
	for _, m := range ours.members {
		if slices.Contains(seen, m.key) {
			problems = append(problems, fmt.Sprintf("has %q more than once; keep one", m.key))
			continue
		}
		seen = append(seen, m.key)
		i := slices.IndexFunc(known, func(s setting) bool { return s.key == m.key })
		if i < 0 {
			problems = append(problems, fmt.Sprintf("has an unknown member %q; it knows %s", m.key, settingNames(known)))
			continue
		}
		if json.Unmarshal([]byte(raw[m.start:m.end]), known[i].target) != nil {
			problems = append(problems, fmt.Sprintf("has a %q that is not %s", m.key, known[i].kind))
		}
	}
	return problems
}

func settingNames(settings []setting) string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.key
	}
	return strings.Join(names, ", ")
}

// readParams keeps the text members that only a driver can interpret.
func (d *document) readParams() {
	for _, m := range d.members {
		if slices.Contains(knownFields, m.key) {
			continue
		}
		if text, problem := d.string(m.key); problem == "" && text != "" {
			if d.params == nil {
				d.params = map[string]string{}
			}
			d.params[m.key] = text
		}
	}
}

// withCredential returns the document's text with another username and
// password, and nothing else changed.
func (d *document) withCredential(username string, password dbdrivers.Password) (Value, error) {
	var text strings.Builder
	copied, done := 0, false
	for _, m := range d.members {
		var value string
		switch m.key {
		case fieldUsername:
			value = username
		case fieldPassword:
			value = password.Reveal()
		default:
			continue
		}
		var encoded bytes.Buffer
		encoder := json.NewEncoder(&encoded)
		encoder.SetEscapeHTML(false)
		if m.key == fieldUsername && username == d.username {
			encoded.WriteString(d.text[m.start:m.end]) // as it was written
		} else if err := encoder.Encode(value); err != nil {
			return Value{}, errors.New("encoding the new credential failed")
		}
		text.WriteString(d.text[copied:m.start])
		text.WriteString(strings.TrimSuffix(encoded.String(), "\n"))
		copied = m.end
		done = done || m.key == fieldPassword
	}
	if !done {
		return Value{}, errors.New("the document has no password to replace")
	}
	text.WriteString(d.text[copied:])
	if text.Len() > greatestValue {
		return Value{}, fail(ClassInvalidSecret, "Shorten the document or the password.",
			"the new version would have %d bytes, and Secrets Manager stores %d", text.Len(), greatestValue)
	}
	return NewValue(text.String()), nil
}

// differences lists the keys, other than username and password, whose values
// differ between two documents. Number forms and the order of keys do not
// count: another function may have written the document anew.
func (d *document) differences(other *document) []string {
	var keys []string
	for _, m := range append(slices.Clone(d.members), other.members...) {
		if m.key == fieldUsername || m.key == fieldPassword || slices.Contains(keys, m.key) {
			continue
		}
		a, inA := d.raw(m.key)
		b, inB := other.raw(m.key)
		if inA != inB || !sameJSON(a, b) {
			keys = append(keys, m.key)
		}
	}
	return keys
}

func sameJSON(a, b string) bool {
	return a == b || reflect.DeepEqual(comparable(a), comparable(b))
}

// comparable decodes JSON into values that reflect.DeepEqual compares by
// meaning.
func comparable(raw string) any {
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return raw
	}
	return byMeaning(value)
}

// numeric is a number's lowest terms, which no text equals.
type numeric string

func byMeaning(value any) any {
	switch value := value.(type) {
	case json.Number:
		// An exponent of more than a few digits would make a number of
		// gigabytes; such a number is compared by its text.
		if _, exponent, found := strings.Cut(strings.ToLower(value.String()), "e"); found && len(exponent) > 4 {
			return value.String()
		}
		if number, ok := new(big.Rat).SetString(value.String()); ok {
			return numeric(number.RatString())
		}
	case []any:
		for i := range value {
			value[i] = byMeaning(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = byMeaning(value[key])
		}
	}
	return value
}

// hostMissing is the fault of a document without a host. It is apart from the
// others because an admin's document may do without one.
func (d *document) hostMissing() []Fault {
	if d == nil || d.host != "" || len(d.members) == 0 {
		return nil
	}
	return []Fault{{fieldHost, "is missing" + d.nearby(fieldHost)}}
}

// check lists the faults that show only once the engine is known.
func (d *document) check(traits dbdrivers.Traits) []Fault {
	var faults []Fault
	if problem := overlong(d.username, traits); problem != "" {
		faults = append(faults, Fault{fieldUsername, problem})
	}
	if hash := d.settings.Hash; hash != "" && !slices.Contains(traits.Hashes, hash) {
		known := "has no choice of hashes"
		if len(traits.Hashes) > 0 {
			known = "knows " + strings.Join(traits.Hashes, ", ")
		}
		faults = append(faults, Fault{fieldOurs, fmt.Sprintf("has the hash %s; %s %s", abbreviate(strconv.Quote(hash)), traits.Engine, known)})
	}
	if name := d.settings.SSLServerName; name != "" && hostProblem(name) != "" {
		faults = append(faults, Fault{fieldOurs, "has an sslServerName that " + hostProblem(name)})
	}
	return faults
}

// login is the document as a driver needs it.
func (d *document) login(traits dbdrivers.Traits, tls tlsconf.Settings) dbdrivers.Login {
	tls.Plaintext = d.plaintext
	tls.ServerName = d.settings.SSLServerName
	login := dbdrivers.Login{
		Host: d.host, Port: d.port, Username: d.username, Password: d.password,
		Database: d.database, TLS: tls, Params: d.params,
	}
	if login.Port == 0 {
		login.Port = traits.DefaultPort
	}
	if login.Database == "" {
		login.Database = traits.DefaultDatabase
	}
	return login
}
