package rotator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// reported is the log after a rotation of a pair found differences.
func reported(t *testing.T, differences []string) string {
	t.Helper()
	var log bytes.Buffer
	a := &attempt{
		// As the function makes it.
		log:    slog.New(slog.NewJSONHandler(&log, nil)).With("step", "testSecret", "secret", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:app", "version", "v1"),
		engine: "aurora-example", traits: dbdrivers.Traits{Engine: "example"},
	}
	a.reportDifferences(t.Context(), &document{username: "app_clone"}, differences)
	return log.String()
}

// The format is AWS's; a record of another shape is a log line and no metric,
// and nobody is told.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func TestADifferenceBetweenTwinsIsAMetric(t *testing.T) {
	t.Parallel()
	before := time.Now().UnixMilli()
	text := reported(t, []string{"setting work_mem", "connection limit"})
	if strings.Count(text, "\n") != 1 {
		t.Fatalf("not one record: %s", text)
	}
	// A member that is there twice would be read by one of its values.
	for _, member := range []string{`"_aws":`, `"engine":`, `"TwinDifferences":`} {
		if strings.Count(text, member) != 1 {
			t.Errorf("%s is not there once: %s", member, text)
		}
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatal(err)
	}
	metadata, _ := record["_aws"].(map[string]any)
	if stamp, _ := metadata["Timestamp"].(float64); int64(stamp) < before || int64(stamp) > time.Now().UnixMilli() {
		t.Errorf("the time stamp %v is not this moment in milliseconds since 1970", metadata["Timestamp"])
	}
	want := []any{map[string]any{
		"Namespace":  "dbrotation",
		"Dimensions": []any{[]any{"engine"}},
		"Metrics":    []any{map[string]any{"Name": "TwinDifferences", "Unit": "Count"}},
	}}
	if diff := cmp.Diff(want, metadata["CloudWatchMetrics"]); diff != "" {
		t.Error(diff)
	}
	// What the metadata names are members of the root: a text and a number.
	if record["engine"] != "example" || record["TwinDifferences"] != 2.0 {
		t.Errorf("engine %v, TwinDifferences %v; want example and 2", record["engine"], record["TwinDifferences"])
	}
	if record["level"] != "WARN" || record["twin"] != "app_clone" || record["sibling"] != "app" || record["version"] != "v1" {
		t.Errorf("the record does not say whose: %s", text)
	}
}

func TestManyDifferencesAreCountedAndSomeAreNamed(t *testing.T) {
	t.Parallel()
	var differences []string
	for i := range 25 {
		differences = append(differences, fmt.Sprintf("right %02d", i))
	}
	var record struct {
		TwinDifferences int
		Differences     []string
	}
	if err := json.Unmarshal([]byte(reported(t, differences)), &record); err != nil {
		t.Fatal(err)
	}
	if record.TwinDifferences != 25 {
		t.Errorf("counted %d, want 25", record.TwinDifferences)
	}
	if diff := cmp.Diff(differences[:20], record.Differences); diff != "" {
		t.Error(diff)
	}
}

func TestEqualTwinsAreNotReported(t *testing.T) {
	t.Parallel()
	if text := reported(t, nil); text != "" {
		t.Errorf("the log has %s", text)
	}
}
