package secretstore

import (
	"errors"
	"slices"
	"time"
)

// Holder returns the version that holds a label, or nil.
func (s *Secret) Holder(label string) *Version {
	for _, v := range s.Versions {
		if v.Has(label) {
			return v
		}
	}
	return nil
}

// Labels returns the labels of all versions that have any, by version.
func (s *Secret) Labels() map[string][]string {
	labels := make(map[string][]string)
	for id, v := range s.Versions {
		if len(v.Labels) > 0 {
			labels[id] = v.Labels
		}
	}
	return labels
}

// Attach moves a label to a version, away from any other. When AWSCURRENT
// moves, the version that it leaves becomes AWSPREVIOUS. See
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version.
func (s *Secret) Attach(label string, to *Version) {
	from := s.Holder(label)
	if from == to {
		return
	}
	if from != nil {
		from.drop(label)
	}
	to.Labels = append(to.Labels, label)
	if label != Current {
		return
	}
	to.drop(Previous) // rolling back: a version is not its own predecessor
	if from != nil {
		s.Attach(Previous, from)
	}
}

// Detach takes a label away from whichever version holds it.
func (s *Secret) Detach(label string) {
	if v := s.Holder(label); v != nil {
		v.drop(label)
	}
}

func (v *Version) drop(label string) {
	v.Labels = slices.DeleteFunc(v.Labels, func(l string) bool { return l == label })
}

// Apply attaches labels to a version that was just given its value. A new
// AWSCURRENT takes AWSPENDING away from whichever version has it, unless
// AWSPENDING is itself among the labels.
func (s *Secret) Apply(labels []string, to *Version) {
	current := slices.Contains(labels, Current)
	if current {
		s.Detach(Pending)
	}
	for _, label := range labels {
		if label != Current {
			s.Attach(label, to)
		}
	}
	if current { // last, for AWSPREVIOUS follows from it
		s.Attach(Current, to)
	}
}

// ErrTooManyVersions says that the secret has as many versions as it may, and
// none that may be removed.
var ErrTooManyVersions = errors.New("too many versions")

// youngest is the age before which an unlabelled version is not removed.
const youngest = 24 * time.Hour

// AddVersion adds a version without labels. Where the secret then has more than
// quota versions, unlabelled ones older than a day are removed, oldest first.
func (s *Secret) AddVersion(id string, now time.Time, quota int) (*Version, error) {
	for len(s.Versions) >= quota {
		oldest := s.removable(now)
		if oldest == nil {
			return nil, ErrTooManyVersions
		}
		delete(s.Versions, oldest.ID)
	}
	if s.Versions == nil {
		s.Versions = make(map[string]*Version)
	}
	v := &Version{ID: id, Created: now}
	s.Versions[id] = v
	return v, nil
}

func (s *Secret) removable(now time.Time) *Version {
	var oldest *Version
	for _, v := range s.Versions {
		if len(v.Labels) == 0 && now.Sub(v.Created) >= youngest &&
			(oldest == nil || v.Created.Before(oldest.Created)) {
			oldest = v
		}
	}
	return oldest
}
