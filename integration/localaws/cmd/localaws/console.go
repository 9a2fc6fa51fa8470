package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// console writes a log for a person to read: without dates and levels, and the
// output of functions as they wrote it. It takes no attributes beforehand.
type console struct {
	slog.Handler
	w io.Writer
}

func newConsole(w io.Writer) *console {
	w = &oneAtATime{w: w}
	return &console{w: w, Handler: slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: brief})}
}

const clock = "15:04:05.000"

// Handle writes one line.
func (c *console) Handle(ctx context.Context, r slog.Record) error {
	if r.Message != "output" {
		return c.Handler.Handle(ctx, r)
	}
	var function, line string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "function":
			function = a.Value.String()
		case "line":
			line = a.Value.String()
		}
		return true
	})
	_, err := fmt.Fprintf(c.w, "time=%s %s | %s\n", r.Time.Format(clock), function, line)
	return err
}

// brief leaves out the date, and the level of what is no fault.
func brief(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String(slog.TimeKey, a.Value.Time().Format(clock))
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok && level == slog.LevelInfo {
			return slog.Attr{}
		}
	}
	return a
}

// oneAtATime is a writer for several goroutines.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes p to the end before another may.
func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}
