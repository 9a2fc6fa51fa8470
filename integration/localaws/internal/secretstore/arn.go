package secretstore

import (
	"crypto/rand"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// NewARN returns the ARN of a new secret: its name and six random characters,
// so that a secret made again under the same name is another one.
func (s *Store) NewARN(region, name string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := make([]byte, 6)
	for i := range suffix {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) // never: crypto/rand ends the process instead
		}
		suffix[i] = alphabet[n.Int64()]
	}
	return s.arnPrefix(region) + name + "-" + string(suffix)
}

func (s *Store) arnPrefix(region string) string {
	return arn.ARN{
		Partition: "aws", Service: "secretsmanager", Region: region, AccountID: s.account,
		Resource: "secret:",
	}.String()
}

func isAlphanumeric(text string) bool {
	for _, c := range text {
		if (c < '0' || '9' < c) && (c < 'A' || 'Z' < c) && (c < 'a' || 'z' < c) {
			return false
		}
	}
	return true
}
