package localaws

import (
	"crypto/rand"
	"math/big"
	"strings"
)

type getRandomPasswordInput struct {
	PasswordLength          *int64
	ExcludeCharacters       *string
	ExcludeLowercase        bool
	ExcludeUppercase        bool
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

type getRandomPasswordOutput struct{ RandomPassword string }

const (
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	numbers     = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

	defaultPasswordLength = 32
	maxPasswordLength     = 4096
)

// getRandomPassword is GetRandomPassword:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html.
func (rq *request) getRandomPassword(in *getRandomPasswordInput) (any, error) {
	var v validation
	v.upTo("passwordLength", in.PasswordLength, maxPasswordLength)
	v.length("excludeCharacters", in.ExcludeCharacters, 0, 4096)
	if err := v.err(); err != nil {
		return nil, err
	}
	length := defaultPasswordLength
	if in.PasswordLength != nil {
		length = int(*in.PasswordLength)
	}
	var excluded string
	if in.ExcludeCharacters != nil {
		excluded = *in.ExcludeCharacters
	}
	var types []string // those that are left, without what is excluded
	for _, t := range []struct {
		chars string
		out   bool
	}{
		{lowercase, in.ExcludeLowercase}, {uppercase, in.ExcludeUppercase}, {numbers, in.ExcludeNumbers},
		{punctuation, in.ExcludePunctuation}, {" ", !in.IncludeSpace},
	} {
		if left := without(t.chars, excluded); !t.out && left != "" {
			types = append(types, left)
		}
	}
	all := strings.Join(types, "")
	if all == "" {
		return nil, refuse(codeInvalidParameter, "No characters are left to make a password of.")
	}
	password := make([]byte, 0, length)
	if in.RequireEachIncludedType == nil || *in.RequireEachIncludedType {
		if length < len(types) {
			return nil, refuse(codeInvalidParameter, "Password length is too short based on the required types.")
		}
		for _, t := range types {
			password = append(password, t[randomBelow(len(t))])
		}
	}
	for len(password) < length {
		password = append(password, all[randomBelow(len(all))])
	}
	for i := len(password) - 1; i > 0; i-- { // Fisher and Yates
		j := randomBelow(i + 1)
		password[i], password[j] = password[j], password[i]
	}
	return getRandomPasswordOutput{RandomPassword: string(password)}, nil
}

func without(chars, excluded string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(excluded, c) {
			return -1
		}
		return c
	}, chars)
}

// randomBelow returns a number from 0 to n-1, evenly.
func randomBelow(n int) int {
	r, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // never: crypto/rand ends the process instead
	}
	return int(r.Int64())
}
