package localaws

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/schedule"
	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

// epoch is a time in the API's form: seconds since 1970, as a JSON number with
// milliseconds. Its zero value is a member left out, by "omitzero".
type epoch struct{ time.Time }

// MarshalJSON writes the seconds.
func (e epoch) MarshalJSON() ([]byte, error) {
	seconds := float64(e.UnixMilli()) / 1000
	if seconds == math.Trunc(seconds) {
		return strconv.AppendFloat(nil, seconds, 'f', 1, 64), nil
	}
	return strconv.AppendFloat(nil, seconds, 'f', -1, 64), nil
}

// tag is a Tag of a request or an answer.
type tag struct {
	Key   string
	Value string
}

// rotationRules are RotationRules of a request or an answer.
type rotationRules struct {
	AutomaticallyAfterDays *int64  `json:",omitempty"`
	Duration               *string `json:",omitempty"`
	ScheduleExpression     *string `json:",omitempty"`
}

func (r *rotationRules) rules() schedule.Rules {
	var out schedule.Rules
	if r.AutomaticallyAfterDays != nil {
		out.AfterDays = *r.AutomaticallyAfterDays
	}
	if r.Duration != nil {
		out.Duration = *r.Duration
	}
	if r.ScheduleExpression != nil {
		out.Expression = *r.ScheduleExpression
	}
	return out
}

// rulesOf tells a secret's rules. AutomaticallyAfterDays is told for every
// schedule, computed after each success.
func rulesOf(r *secretstore.Rotation) *rotationRules {
	if r.Rules.IsZero() {
		return nil
	}
	out := &rotationRules{}
	if r.Rules.Duration != "" {
		out.Duration = &r.Rules.Duration
	}
	if r.Rules.Expression != "" {
		out.ScheduleExpression = &r.Rules.Expression
	}
	days := r.Rules.AfterDays
	if s, err := schedule.Parse(r.Rules); err == nil && s != nil && days == 0 && !r.Rotated.IsZero() {
		days = s.Days(r.Rotated)
	}
	if days != 0 {
		out.AutomaticallyAfterDays = &days
	}
	return out
}

// secretDetails are the members that DescribeSecret and ListSecrets share.
type secretDetails struct {
	ARN               string
	Name              string
	Description       string         `json:",omitempty"`
	RotationEnabled   *bool          `json:",omitempty"`
	RotationLambdaARN string         `json:",omitempty"`
	RotationRules     *rotationRules `json:",omitempty"`
	CreatedDate       epoch
	LastChangedDate   epoch `json:",omitzero"`
	LastAccessedDate  epoch `json:",omitzero"`
	LastRotatedDate   epoch `json:",omitzero"`
	NextRotationDate  epoch `json:",omitzero"`
	DeletedDate       epoch `json:",omitzero"`
	// Tags is absent for a secret never tagged, and empty for one whose tags
	// were all removed.
	Tags *[]tag `json:",omitempty"`
}

func detailsOf(s *secretstore.Secret) secretDetails {
	d := secretDetails{
		ARN: s.ARN, Name: s.Name, Description: s.Description,
		CreatedDate:      epoch{s.Created},
		LastChangedDate:  epoch{s.Changed},
		LastAccessedDate: epoch{s.Accessed},
		DeletedDate:      epoch{s.Deleted},
	}
	if s.Tags != nil {
		tags := make([]tag, len(s.Tags))
		for i, t := range s.Tags {
			tags[i] = tag(t)
		}
		d.Tags = &tags
	}
	if r := s.Rotation; r != nil {
		d.RotationEnabled = &r.Enabled
		d.RotationLambdaARN = r.LambdaARN
		d.RotationRules = rulesOf(r)
		d.LastRotatedDate = epoch{r.Rotated}
		if r.Enabled && s.Deleted.IsZero() {
			d.NextRotationDate = epoch{r.Next}
		}
	}
	return d
}

// versionsToStages tells the labels of all labelled versions, in a fixed order;
// nil for none.
func versionsToStages(s *secretstore.Secret) map[string][]string {
	labels := s.Labels()
	for id := range labels {
		labels[id] = sorted(labels[id])
	}
	return labels
}

func sorted(labels []string) []string {
	labels = slices.Clone(labels)
	slices.Sort(labels)
	return labels
}
