package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// pythonDumps returns a document as Python's json.dumps(json.loads(text))
// writes it, with some top-level strings replaced: a blank after commas and
// colons, everything beyond ASCII escaped, floats in their shortest form.
//
// https://docs.python.org/3/library/json.html
func pythonDumps(text string, replace map[string]string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var out strings.Builder
	if err := pythonValue(&out, decoder, replace); err != nil {
		return "", err
	}
	return out.String(), nil
}

func pythonValue(out *strings.Builder, decoder *json.Decoder, replace map[string]string) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		return pythonContainer(out, decoder, token, replace)
	case string:
		out.WriteString(pythonString(token))
	case json.Number:
		number, err := pythonNumber(token.String())
		if err != nil {
			return err
		}
		out.WriteString(number)
	case bool:
		out.WriteString(strconv.FormatBool(token))
	case nil:
		out.WriteString("null")
	}
	return nil
}

func pythonContainer(out *strings.Builder, decoder *json.Decoder, open json.Delim, replace map[string]string) error {
	out.WriteString(open.String())
	for first := true; decoder.More(); first = false {
		if !first {
			out.WriteString(", ")
		}
		if open == '[' {
			if err := pythonValue(out, decoder, nil); err != nil {
				return err
			}
			continue
		}
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, isKey := token.(string)
		if !isKey {
			return errors.New("no key")
		}
		out.WriteString(pythonString(key) + ": ")
		var value strings.Builder
		if err := pythonValue(&value, decoder, nil); err != nil {
			return err
		}
		if replaced, found := replace[key]; found {
			out.WriteString(pythonString(replaced))
		} else {
			out.WriteString(value.String())
		}
	}
	closing, err := decoder.Token()
	if err != nil {
		return err
	}
	fmt.Fprint(out, closing)
	return nil
}

func pythonString(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		if escaped, found := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}[r]; found {
			out.WriteString(escaped)
			continue
		}
		switch {
		case r < ' ' || '~' < r && r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// pythonNumber keeps integers, and gives floats the form of Python's repr.
func pythonNumber(text string) (string, error) {
	if !strings.ContainsAny(text, ".eE") {
		return text, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", err
	}
	scientific := strconv.FormatFloat(number, 'e', -1, 64)
	_, exponent, _ := strings.Cut(scientific, "e")
	if power, err := strconv.Atoi(exponent); err != nil || power < -4 || power >= 16 {
		return scientific, err
	}
	plain := strconv.FormatFloat(number, 'f', -1, 64)
	if !strings.Contains(plain, ".") {
		plain += ".0"
	}
	return plain, nil
}

// TestDocumentsAsPythonWritesThem holds what Python 3 printed for
// json.dumps(json.loads(...)).
func TestDocumentsAsPythonWritesThem(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"separators, and keys in their order", `{"b":1,"a":[1,2,{"c":null}],"d":{}}`, `{"b": 1, "a": [1, 2, {"c": null}], "d": {}}`},
		{"everything beyond ASCII is escaped", `{"a":"é用😀\u007f<>&"}`, `{"a": "\u00e9\u7528\ud83d\ude00\u007f<>&"}`},
		{"control characters", `{"a":"\n\t\r\f\b\u0001\"\\\/"}`, `{"a": "\n\t\r\f\b\u0001\"\\/"}`},
		{"numbers", `[5432.0,5432,1.50,1e3,1e16,1e-5,0.0001,-0.0,123456789012345678901234567890]`, `[5432.0, 5432, 1.5, 1000.0, 1e+16, 1e-05, 0.0001, -0.0, 123456789012345678901234567890]`},
		{"a name and a password are replaced at the top alone", `{"username":"x","n":{"username":"y"}}`, `{"username": "replaced", "n": {"username": "y"}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := pythonDumps(row.text, map[string]string{"username": "replaced"})
			if err != nil || got != row.want {
				t.Errorf("%s (%v), want %s", got, err, row.want)
			}
		})
	}
}
