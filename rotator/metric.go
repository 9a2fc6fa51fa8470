package rotator

import (
	"log/slog"
	"time"
)

// metricNamespace is where CloudWatch keeps the rotation's metrics.
const metricNamespace = "dbrotation"

// The metrics of the rotation.
const (
	// metricTwinDifferences counts in what the two accounts of a pair differ
	// when testSecret compares them. It has no data while they are equal.
	metricTwinDifferences = "TwinDifferences"
)

// counted returns the attributes that make a log record a metric as well: in
// CloudWatch's embedded metric format, a record of a Lambda function's log that
// is a JSON object with the root member "_aws" is read as one. The function
// needs no permission and makes no call for it.
//
// The only dimension is the engine, by its driver's own name: a metric by
// secret would be one more metric to pay for with every secret, and the
// record itself names the secret.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func counted(metric string, count int, engine string) []any {
	type definition struct {
		Name, Unit string
	}
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
	type metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}
	const dimension = "engine"
	return []any{
		slog.Any("_aws", metadata{ //nolint:sloglint // The key is the format's.
			Timestamp: time.Now().UnixMilli(),
			CloudWatchMetrics: []directive{{
				Namespace:  metricNamespace,
				Dimensions: [][]string{{dimension}},
				Metrics:    []definition{{Name: metric, Unit: "Count"}},
			}},
		}),
		slog.String(dimension, engine),
		slog.Int(metric, count),
	}
}
