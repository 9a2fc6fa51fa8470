package lambdahost_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARuntimeThatMakesMistakesIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, "raw")
	h.do("whatever")
	for word, want := range map[string]string{
		"next before the answer": "403",
		"answer for another":     "400",
		"error for another":      "400",
		"init error too late":    "403",
		"first answer":           "202",
		"second answer":          "400",
		"error after the answer": "400",
	} {
		if diff := cmp.Diff([]string{want}, h.log.told(word)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", word, diff)
		}
	}
	h.do("whatever")
}

func TestTheFunctionIsToldWhatItIs(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	inv := event("show the context")
	if err := h.invoke(inv); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{
		"left":    bound.String(),
		"request": inv.ID,
		"arn":     "arn:aws:lambda:eu-central-1:123456789012:function:rotation",
	} {
		if diff := cmp.Diff([]string{want}, h.log.told(word)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", word, diff)
		}
	}
}
