package run

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
)

type logKey struct{}

// WithLog returns a context whose log lines carry the attributes, besides those
// that it carried before: the id of a request, of a load. A logger must be of
// Lined, and be called with the context (InfoContext, not Info).
func WithLog(ctx context.Context, attrs ...slog.Attr) context.Context {
	before, _ := ctx.Value(logKey{}).([]slog.Attr)
	return context.WithValue(ctx, logKey{}, append(slices.Clip(before), attrs...))
}

// LogValue is what the context's log lines carry under key, empty where that is
// nothing.
func LogValue(ctx context.Context, key string) string {
	attrs, _ := ctx.Value(logKey{}).([]slog.Attr)
	for _, a := range slices.Backward(attrs) {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// NewID returns a random id for log lines: 20 hexadecimal digits.
func NewID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return hex.EncodeToString(b[:])
}

// Lined returns a logger that adds to each line what the context carries. One
// that does already is returned as it is.
func Lined(l *slog.Logger) *slog.Logger {
	if _, ok := l.Handler().(lined); ok {
		return l
	}
	return slog.New(lined{l.Handler()})
}

// lined is a handler that adds the context's attributes.
type lined struct{ slog.Handler }

func (h lined) Handle(ctx context.Context, r slog.Record) error {
	if attrs, _ := ctx.Value(logKey{}).([]slog.Attr); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h lined) WithAttrs(attrs []slog.Attr) slog.Handler { return lined{h.Handler.WithAttrs(attrs)} }
func (h lined) WithGroup(name string) slog.Handler       { return lined{h.Handler.WithGroup(name)} }
