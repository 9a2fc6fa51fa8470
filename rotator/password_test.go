package rotator

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

func pointer[T any](v T) *T { return &v }

func TestGeneratedPasswordsObeyThePolicy(t *testing.T) {
	for _, row := range []struct {
		name    string
		policy  PasswordPolicy
		traits  dbdrivers.PasswordTraits
		length  int
		has     []string // one character of each occurs in every password
		without string   // none of these occurs in any
	}{
		{name: "the default has 32 characters and every kind", length: 32, has: []string{lowercase, uppercase, numbers, punctuation}, without: " "},
		{name: "the engine's default exclusions", traits: dbdrivers.PasswordTraits{ExcludedByDefault: `:/@"'\`}, length: 32, without: `:/@"'\`},
		{name: "the function's exclusions replace the engine's", policy: PasswordPolicy{ExcludeCharacters: pointer("abc")}, traits: dbdrivers.PasswordTraits{ExcludedByDefault: punctuation}, length: 32, has: []string{punctuation}, without: "abc"},
		{name: "what the engine forbids is left out whatever is said", policy: PasswordPolicy{ExcludeCharacters: pointer("")}, traits: dbdrivers.PasswordTraits{Forbidden: "'\"\\/@ "}, length: 32, without: "'\"\\/@ "},
		{name: "digits alone", policy: PasswordPolicy{ExcludeLowercase: pointer(true), ExcludeUppercase: pointer(true), ExcludePunctuation: pointer(true), Length: pointer(20)}, length: 20, without: lowercase + uppercase + punctuation},
		{name: "the shortest still has every kind", policy: PasswordPolicy{Length: pointer(8)}, length: 8, has: []string{lowercase, uppercase, numbers, punctuation}},
		{name: "kinds are not required", policy: PasswordPolicy{RequireEachIncludedType: pointer(false)}, length: 32},
		{name: "the engine's demands hold all the same", policy: PasswordPolicy{RequireEachIncludedType: pointer(false), Length: pointer(8)}, traits: dbdrivers.PasswordTraits{NeedsDigit: true, NeedsUpper: true, NeedsLower: true, MaxLength: 64}, length: 8, has: []string{lowercase, uppercase, numbers}},
		{name: "the default length bows to the engine's", traits: dbdrivers.PasswordTraits{MaxLength: 16}, length: 16},
	} {
		t.Run(row.name, func(t *testing.T) {
			made, faults := row.policy.decide(row.traits)
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			seen := map[string]bool{}
			for range 200 {
				password, err := made.generate()
				if err != nil {
					t.Fatal(err)
				}
				text := password.Reveal()
				if len(text) != row.length || strings.ContainsAny(text, row.without) {
					t.Fatalf("%q has %d characters or an excluded one", text, len(text))
				}
				for _, kind := range row.has {
					if !strings.ContainsAny(text, kind) {
						t.Fatalf("%q has none of %q", text, kind)
					}
				}
				for _, c := range []byte(text) {
					if c < 33 || c > 126 {
						t.Fatalf("%q holds the byte %d", text, c)
					}
				}
				if seen[text] {
					t.Fatalf("%q was made twice", text)
				}
				seen[text] = true
			}
		})
	}
}

func TestPoliciesThatNoPasswordCanSatisfy(t *testing.T) {
	for _, row := range []struct {
		name   string
		policy PasswordPolicy
		traits dbdrivers.PasswordTraits
		want   string
	}{
		{"too short", PasswordPolicy{Length: pointer(7)}, dbdrivers.PasswordTraits{}, "8 to 4096"},
		{"too long for the engine", PasswordPolicy{Length: pointer(65)}, dbdrivers.PasswordTraits{MaxLength: 64}, "8 to 64"},
		{"nothing left", PasswordPolicy{ExcludeLowercase: pointer(true), ExcludeUppercase: pointer(true), ExcludePunctuation: pointer(true), ExcludeNumbers: pointer(true)}, dbdrivers.PasswordTraits{}, "only 0 characters"},
		{"a whole kind excluded by its characters", PasswordPolicy{ExcludeCharacters: pointer(numbers)}, dbdrivers.PasswordTraits{}, "every one of the numbers is excluded"},
		{"the engine demands what is excluded", PasswordPolicy{ExcludeNumbers: pointer(true)}, dbdrivers.PasswordTraits{NeedsDigit: true}, "demands one"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults := row.policy.decide(row.traits)
			if len(faults) != 1 || !strings.Contains(faults[0], row.want) {
				t.Errorf("faults %q, want one with %q", faults, row.want)
			}
		})
	}
}

func TestEveryCharacterIsAsLikelyAsTheOthers(t *testing.T) {
	made, _ := PasswordPolicy{RequireEachIncludedType: pointer(false)}.decide(dbdrivers.PasswordTraits{})
	counts := map[byte]int{}
	const passwords = 3000
	for range passwords {
		password, err := made.generate()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []byte(password.Reveal()) {
			counts[c]++
		}
	}
	// Each of 94 characters is expected about 1,021 times, give or take 32;
	// eight times that is out of reach of chance.
	expected := float64(passwords*32) / 94
	for _, c := range []byte(made.alphabet) {
		if got := float64(counts[c]); got < expected-256 || got > expected+256 {
			t.Errorf("%q occurred %v times, expected about %.0f", c, got, expected)
		}
	}
}

func TestASecretsPolicyComesBeforeTheFunctions(t *testing.T) {
	function := PasswordPolicy{Length: pointer(40), ExcludeCharacters: pointer("abc"), ExcludeNumbers: pointer(true)}
	secret := PasswordPolicy{Length: pointer(20), ExcludeNumbers: pointer(false)}
	got := secret.before(function)
	if *got.Length != 20 || *got.ExcludeCharacters != "abc" || *got.ExcludeNumbers {
		t.Errorf("got length %d, exclusions %q, numbers excluded %v", *got.Length, *got.ExcludeCharacters, *got.ExcludeNumbers)
	}
}
