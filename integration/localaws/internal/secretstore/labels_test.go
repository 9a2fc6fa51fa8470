package secretstore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

func TestCurrentVersionIsNotItsOwnPredecessor(t *testing.T) {
	t.Parallel()
	v := &secretstore.Version{ID: "v1", Labels: []string{secretstore.Previous, "blue"}}
	s := &secretstore.Secret{Versions: map[string]*secretstore.Version{"v1": v}}
	s.Attach(secretstore.Current, v)
	if diff := cmp.Diff([]string{"blue", secretstore.Current}, v.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
