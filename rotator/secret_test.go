package rotator

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

var exampleTraits = dbdrivers.Traits{
	Engine: "example", DefaultPort: 5432, DefaultDatabase: "main",
	Username: dbdrivers.Limit{Max: 10, Bytes: true}, Hashes: []string{"scram-sha-256", "md5"},
}

func mustParse(t *testing.T, text string) *document {
	t.Helper()
	d, faults := parse(NewValue(text))
	if len(faults) > 0 {
		t.Fatalf("parsing %s: %v", text, faults)
	}
	return d
}

func TestADocumentIsReadAsAWSWritesIt(t *testing.T) {
	for _, row := range []struct {
		name, text string
		port       int
		plaintext  bool
	}{
		{"port as a number", `{"engine":"e","host":"h","username":"u","password":"p","port":5433}`, 5433, false},
		{"port as a number with a fraction of nothing", `{"engine":"e","host":"h","username":"u","password":"p","port":5433.0}`, 5433, false},
		{"port as text", `{"engine":"e","host":"h","username":"u","password":"p","port":"5433"}`, 5433, false},
		{"no port", `{"engine":"e","host":"h","username":"u","password":"p"}`, 5432, false},
		{"empty port", `{"engine":"e","host":"h","username":"u","password":"p","port":""}`, 5432, false},
		{"null port", `{"engine":"e","host":"h","username":"u","password":"p","port":null}`, 5432, false},
		{"ssl true", `{"engine":"e","host":"h","username":"u","password":"p","ssl":true}`, 5432, false},
		{"ssl false", `{"engine":"e","host":"h","username":"u","password":"p","ssl":false}`, 5432, true},
		{"ssl as text", `{"engine":"e","host":"h","username":"u","password":"p","ssl":"False"}`, 5432, true},
		{"null ssl is verified", `{"engine":"e","host":"h","username":"u","password":"p","ssl":null}`, 5432, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			login := mustParse(t, row.text).login(exampleTraits, dbdrivers.Login{}.TLS)
			if login.Port != row.port || login.TLS.Plaintext != row.plaintext || login.Database != "main" {
				t.Errorf("port %d, plaintext %v, database %q; want %d, %v, main", login.Port, login.TLS.Plaintext, login.Database, row.port, row.plaintext)
			}
		})
	}
}

func TestADriverIsGivenTheStringsTheRotationDoesNotKnow(t *testing.T) {
	d := mustParse(t, `{"engine":"e","host":"h","username":"u","password":"p","authSource":"users","retries":3,"dbInstanceIdentifier":"i"}`)
	if diff := cmp.Diff(map[string]string{"authSource": "users"}, d.login(exampleTraits, dbdrivers.Login{}.TLS).Params); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfADocument(t *testing.T) {
	const valid = `"engine":"e","host":"h","username":"u","password":"p"`
	for _, row := range []struct {
		name, text string
		want       []string // a part of each fault, in order
	}{
		{"not JSON", `hunter2-password`, []string{"not a JSON object"}},
		{"empty", ``, []string{"not a JSON object"}},
		{"a list", `["hunter2-password"]`, []string{"not a JSON object"}},
		{"cut off", `{"engine":"e","password":"hunter2-password`, []string{"not a JSON object"}},
		{"two objects", `{` + valid + `}{}`, []string{"something follows"}},
		{"not UTF-8", "{\"engine\":\"\xff\"}", []string{"not UTF-8"}},
		{"everything missing", `{}`, []string{`"engine" is missing`, `"username" is missing`, `"password" is missing`}},
		{"null is missing", `{"engine":null,"host":"h","username":null,"password":null}`, []string{`"engine" is missing`, `"username" is missing`, `"password" is missing`}},
		{"empty text", `{"engine":"","host":"h","username":"","password":""}`, []string{`"engine" is empty`, `"username" is empty`, `"password" is empty`}},
		{"keys in another case", `{"Engine":"e","host":"h","UserName":"u","PASSWORD":"p"}`, []string{`there is "Engine"`, `there is "UserName"`, `there is "PASSWORD"`}},
		{"wrong types", `{"engine":1,"host":true,"username":{},"password":["hunter2-password"],"dbname":5,"masterarn":6}`, []string{`"engine" is not a JSON string`, `"host" is not`, `"username" is not`, `"password" is not`, `"dbname" is not`, `"masterarn" is not`}},
		{"port of a half", `{` + valid + `,"port":5432.5}`, []string{`"port" is 5432.5, not a port number`}},
		{"port of infinity", `{` + valid + `,"port":1e999}`, []string{`"port" is 1e999, not a port number`}},
		{"port of abc", `{` + valid + `,"port":"abc"}`, []string{`"port" is "abc", not a port number`}},
		{"port of 0", `{` + valid + `,"port":0}`, []string{`"port" is 0`}},
		{"port of 65536", `{` + valid + `,"port":65536}`, []string{`"port" is 65536`}},
		{"port of 5432.5", `{` + valid + `,"port":5432.5}`, []string{`"port" is 5432.5`}},
		{"port as an object", `{` + valid + `,"port":{"a":"hunter2-password"}}`, []string{`"port" is something else`}},
		{"ssl of maybe", `{` + valid + `,"ssl":"maybe"}`, []string{`"ssl" is "maybe"`}},
		{"ssl of 0", `{` + valid + `,"ssl":0}`, []string{`"ssl" is 0`}},
		{"twice the same key", `{` + valid + `,"username":"other"}`, []string{`"username" occurs more than once`}},
		{"host with a port", `{"engine":"e","host":"h:5432","username":"u","password":"p"}`, []string{`"host" carries a port`}},
		{"host as a URL", `{"engine":"e","host":"postgres://h","username":"u","password":"p"}`, []string{`"host" is a URL`}},
		{"host that is a socket", `{"engine":"e","host":"/var/run/postgresql","username":"u","password":"p"}`, []string{`"host" is neither`}},
		{"a list of hosts", `{"engine":"e","host":"a,b","username":"u","password":"p"}`, []string{`"host" is neither`}},
		{"host with a zone", `{"engine":"e","host":"fe80::1%/var/run,other","username":"u","password":"p"}`, []string{`"host" is neither`}},
		{"host with a newline", `{"engine":"e","host":"a\nb","username":"u","password":"p"}`, []string{`"host" is neither`}},
		{"zero byte", `{"engine":"e","host":"h","username":"u\u0000","password":"p"}`, []string{`"username" holds a zero byte`}},
		{"masterarn is a name", `{` + valid + `,"masterarn":"admin"}`, []string{`"masterarn" is not the ARN`}},
		{"our key is text", `{` + valid + `,"dbrotation":"single"}`, []string{`"dbrotation" is not a JSON object`}},
		{"our key has an unknown member", `{` + valid + `,"dbrotation":{"stratgy":"single"}}`, []string{`"dbrotation" has an unknown member "stratgy"; it knows strategy, hash`}},
		{"our key has a wrong type", `{` + valid + `,"dbrotation":{"passwordLength":"long"}}`, []string{`"dbrotation" has a "passwordLength" that is not a whole number`}},
		{"our key is a list", `{` + valid + `,"dbrotation":[]}`, []string{`"dbrotation" is not a JSON object`}},
		{"our key has several faults", `{` + valid + `,"dbrotation":{"Strategy":"single","hash":"md5","hash":"md5","twins":["a",1],"excludeNumbers":"no","passwordLength":32.5}}`,
			[]string{`unknown member "Strategy"`, `"hash" more than once`, `"twins" that is not a list of strings`, `"excludeNumbers" that is not true or false`, `"passwordLength" that is not a whole number`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults := parse(NewValue(row.text))
			if len(faults) != len(row.want) {
				t.Fatalf("faults %v, want %d", faults, len(row.want))
			}
			for i, fault := range faults {
				if !strings.Contains(fault.String(), row.want[i]) {
					t.Errorf("fault %q, want %q in it", fault, row.want[i])
				}
				if strings.Contains(fault.String(), "hunter2") {
					t.Errorf("fault %q shows a value", fault)
				}
			}
		})
	}
}

func TestFaultsThatTheEngineShows(t *testing.T) {
	for _, row := range []struct{ name, members, want string }{
		{"username too long, in bytes", `"username":"äääääå"`, `"username" has 12 bytes; example keeps 10`},
		{"unknown hash", `"username":"u","dbrotation":{"hash":"sha1"}`, `knows scram-sha-256, md5`},
		{"server name with a port", `"username":"u","dbrotation":{"sslServerName":"h:5432"}`, "sslServerName that carries a port"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := mustParse(t, `{"engine":"e","host":"h","password":"p",`+row.members+`}`)
			if faults := d.check(exampleTraits); len(faults) != 1 || !strings.Contains(faults[0].String(), row.want) {
				t.Errorf("faults %v, want one with %q", faults, row.want)
			}
		})
	}
}

func TestANewPasswordChangesNothingElse(t *testing.T) {
	for _, row := range []struct{ name, before, after string }{
		{"order, spacing and number forms stay",
			"{ \"z\": 1.50e1,\n\t\"password\" : \"old\" , \"port\":\"5432\",\"a\":[1, 2 ,{\"password\":\"inner\"}], \"big\":12345678901234567890 }",
			"{ \"z\": 1.50e1,\n\t\"password\" : NEW , \"port\":\"5432\",\"a\":[1, 2 ,{\"password\":\"inner\"}], \"big\":12345678901234567890 }"},
		{"escapes of other members stay",
			`{"note":"\u003ca\u003e \/","password":"\u006fld","engine":"e"}`,
			`{"note":"\u003ca\u003e \/","password":NEW,"engine":"e"}`},
		{"the key itself may be escaped",
			`{"pass\u0077ord":"old"}`, `{"pass\u0077ord":NEW}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := &document{text: row.before}
			if err := d.locate(); err != nil {
				t.Fatal(err)
			}
			got, err := d.withCredential(d.username, dbdrivers.NewPassword(`<&>"\`+"\u2028"))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(row.after, "NEW", `"<&>\"\\\u2028"`, 1); got.Reveal() != want {
				t.Errorf("got  %s\nwant %s", got.Reveal(), want)
			}
		})
	}
}

func TestANewVersionThatIsTooLargeIsRefusedBeforeItIsStored(t *testing.T) {
	d := mustParse(t, `{"engine":"e","host":"h","username":"u","password":"p","note":"`+strings.Repeat("x", greatestValue-70)+`"}`)
	_, err := d.withCredential(d.username, dbdrivers.NewPassword(strings.Repeat("y", 64)))
	if class, remedy := classOf(err); class != ClassInvalidSecret || remedy == "" {
		t.Errorf("error %v of class %q, want an invalid secret with a remedy", err, class)
	}
}

func TestWhatCountsAsADifference(t *testing.T) {
	const current = `{"engine":"e","host":"h","port":5432,"username":"u","password":"p","nested":{"a":[1,{"b":2}]}}`
	for _, row := range []struct {
		name, pending string
		want          []string
	}{
		{"another password", `{"engine":"e","host":"h","port":5432,"username":"u","password":"q","nested":{"a":[1,{"b":2}]}}`, nil},
		{"written anew by another program", `{"nested": {"a": [1.0, {"b": 2e0}]}, "password":"q", "username":"u", "port": 5432, "host":"\u0068","engine":"e"}`, nil},
		{"another host", `{"engine":"e","host":"evil","port":5432,"username":"u","password":"q","nested":{"a":[1,{"b":2}]}}`, []string{"host"}},
		{"a member gone", `{"engine":"e","host":"h","username":"u","password":"q","nested":{"a":[1,{"b":2}]}}`, []string{"port"}},
		{"a member more", `{"engine":"e","host":"h","port":5432,"username":"u","password":"q","nested":{"a":[1,{"b":2}]},"ssl":false}`, []string{"ssl"}},
		{"deep inside", `{"engine":"e","host":"h","port":5432,"username":"u","password":"q","nested":{"a":[1,{"b":3}]}}`, []string{"nested"}},
		{"several at once", `{"engine":"f","host":"g","port":"5432","username":"u","password":"q","nested":{"a":[1,{"b":2}]}}`, []string{"engine", "host", "port"}},
		{"a huge exponent is not computed", `{"engine":"e","host":"h","port":1e999999999,"username":"u","password":"q","nested":{"a":[1,{"b":2}]}}`, []string{"port"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, b := &document{text: current}, &document{text: row.pending}
			for _, d := range []*document{a, b} {
				if err := d.locate(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(row.want, a.differences(b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestADocumentDoesNotPrint(t *testing.T) {
	d := mustParse(t, `{"engine":"e","host":"h","username":"u","password":"hunter2-password"}`)
	value := NewValue("hunter2-password")
	token := NewRotationToken("hunter2-password")
	event := Event{Step: CreateSecret, RotationToken: token}
	version := Version{Value: value}
	put := PutRequest{Value: value, RotationToken: token}
	for _, subject := range []any{d, value, token, &value, &token, event, &event, version, put, []any{d, value}, map[string]any{"x": put}} {
		encoded, err := json.Marshal(subject)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{fmt.Sprint(subject), fmt.Sprintf("%+v", subject), fmt.Sprintf("%#v", subject), fmt.Sprintf("%s %q %x %d", subject, subject, subject, subject), string(encoded)} {
			if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%T prints as %s", subject, text)
			}
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(`{"engine":"e","host":"h","username":"u","password":"p","port":5432}`, "new")
	f.Add(`{"a":{"password":1},"password":"\ud83d\ude00","b":[[]]}`, `"\`)
	f.Add("{\"password\" : \"\"\t\n}", "\u2028<>")
	f.Fuzz(func(t *testing.T, text, password string) {
		d, faults := parse(NewValue(text))
		if !utf8.ValidString(password) || strings.ContainsRune(password, utf8.RuneError) {
			return
		}
		if len(d.members) == 0 || len(faults) > 0 {
			return
		}
		changed, err := d.withCredential(d.username, dbdrivers.NewPassword(password))
		if err != nil {
			t.Fatalf("a valid document cannot take a password: %v", err)
		}
		var before, after map[string]any
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			t.Fatalf("encoding/json does not read what was accepted: %v", err)
		}
		if err := json.Unmarshal([]byte(changed.Reveal()), &after); err != nil {
			t.Fatalf("the changed document is not JSON: %v", err)
		}
		if after["password"] != password {
			t.Fatalf("the changed document holds another password")
		}
		before["password"] = password
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("something else changed")
		}
		again, faults := parse(changed)
		if password != "" && !strings.ContainsRune(password, 0) && len(faults) > 0 {
			t.Fatalf("the changed document has faults: %v", faults)
		}
		if differing := d.differences(again); len(differing) > 0 {
			t.Fatalf("the changed document differs in %v", differing)
		}
	})
}
