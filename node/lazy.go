package node

import (
	"context"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"

	"weft/engine"
)

// lazySession opens its worker when the first statement needs it.
type lazySession struct {
	sessions engine.Sessions
	cfg      engine.SessionConfig

	mu     sync.Mutex
	opened engine.Session
}

func (l *lazySession) get(ctx context.Context) (engine.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		s, err := l.sessions.Session(ctx, l.cfg)
		if err != nil {
			return nil, err
		}
		l.opened = s
	}
	return l.opened, nil
}

func (l *lazySession) Exec(ctx context.Context, st engine.Statement) (int64, error) {
	s, err := l.get(ctx)
	if err != nil {
		return 0, err
	}
	return s.Exec(ctx, st)
}

func (l *lazySession) Query(ctx context.Context, st engine.Statement) (array.RecordReader, error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Query(ctx, st)
}

func (l *lazySession) Parse(ctx context.Context, text string) ([]byte, error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Parse(ctx, text)
}

func (l *lazySession) Deparse(ctx context.Context, tree []byte) (string, error) {
	s, err := l.get(ctx)
	if err != nil {
		return "", err
	}
	return s.Deparse(ctx, tree)
}

func (l *lazySession) Progress() float64 {
	l.mu.Lock()
	s := l.opened
	l.mu.Unlock()
	if s == nil {
		return -1
	}
	return s.Progress()
}

func (l *lazySession) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		return nil
	}
	return l.opened.Close()
}
