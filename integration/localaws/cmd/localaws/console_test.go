package main

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestConsoleShowsOutputAsItWasWritten(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := slog.New(newConsole(&out))
	log.Info("call", "operation", "GetSecretValue")
	log.Info("output", "function", "rotation", "line", `{"step":"setSecret"}`+"\tdone")
	log.Error("internal error", "error", "disk full")
	got := regexp.MustCompile(`time=[0-9:.]+`).ReplaceAllString(out.String(), "time=T")
	want := "time=T msg=call operation=GetSecretValue\n" +
		"time=T rotation | {\"step\":\"setSecret\"}\tdone\n" +
		"time=T level=ERROR msg=\"internal error\" error=\"disk full\"\n"
	if got != want {
		t.Errorf("it shows\n%swant\n%s", got, want)
	}
}
