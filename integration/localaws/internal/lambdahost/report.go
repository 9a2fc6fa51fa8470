package lambdahost

import (
	"fmt"
	"strings"
	"time"
)

// The platform's lines in the log, in the text form described at
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html.

// report is what a REPORT line tells about one invocation.
type report struct {
	id        string
	took      time.Duration
	initTook  time.Duration // zero where the process was there already
	process   *process      // nil where there was none
	status    string        // empty for success, and for an error that the function returned
	errorType string
}

func (f *Function) logStart(id string) {
	f.log.printf("START RequestId: %s Version: %s", id, version)
}

func (f *Function) logTimeout(id string) {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	f.log.printf("%s %s %s", now, id, f.timeoutText())
}

func (f *Function) logExit(id, reason string) {
	f.log.printf("RequestId: %s Error: %s", id, reason)
	f.log.printf("%s", typeExit)
}

// logInit tells of an initialisation that failed; one that did not is part of
// its first invocation's REPORT.
func (f *Function) logInit(took time.Duration, status, errorType string) {
	var line strings.Builder
	fmt.Fprintf(&line, "INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: %s", milliseconds(took), status)
	if errorType != "" {
		fmt.Fprintf(&line, "\tError Type: %s", errorType)
	}
	f.log.printf("%s", line.String())
}

// logReport ends an invocation's lines. The time to initialise is billed since
// August 2025, see
// https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/.
func (f *Function) logReport(r report) {
	f.log.printf("END RequestId: %s", r.id)
	var line strings.Builder
	billed := (r.took + r.initTook + time.Millisecond - 1).Truncate(time.Millisecond)
	fmt.Fprintf(&line, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB",
		r.id, milliseconds(r.took), billed.Milliseconds(), f.config.MemoryMB)
	if r.process != nil {
		if peak, ok := r.process.peakMB(); ok {
			fmt.Fprintf(&line, "\tMax Memory Used: %d MB", peak)
		}
	}
	if r.initTook > 0 {
		fmt.Fprintf(&line, "\tInit Duration: %.2f ms", milliseconds(r.initTook))
	}
	if r.status != "" {
		fmt.Fprintf(&line, "\tStatus: %s", r.status)
	}
	if r.errorType != "" {
		fmt.Fprintf(&line, "\tError Type: %s", r.errorType)
	}
	f.log.printf("%s", line.String())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
