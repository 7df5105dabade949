package run

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

func TestLinesCarryWhatTheContextDoes(t *testing.T) {
	var b bytes.Buffer
	log := Lined(slog.New(slog.NewTextHandler(&b, nil)))
	if Lined(log) != log {
		t.Error("a logger that is lined is wrapped once more")
	}
	one := WithLog(context.Background(), slog.String("request", "a1"))
	two := WithLog(one, slog.String("load", "b2"))
	log.With("part", "node").InfoContext(two, "two")
	log.InfoContext(one, "one")
	log.Info("none")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{"msg=two part=node request=a1 load=b2", "msg=one request=a1", "msg=none"} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("line %d is %s, want it to end with %s", i, lines[i], want)
		}
	}
	if got := LogValue(two, "request"); got != "a1" {
		t.Errorf("the request is %q", got)
	}
	if got := LogValue(one, "load"); got != "" {
		t.Errorf("the load is %q", got)
	}
}
