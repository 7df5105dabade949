package engine

import (
	"context"
	"sync"
)

// Memo remembers what the engine's parser said: the tree of a text, and the text
// of a tree that was held against it. Both depend on nothing else, not on who
// asks nor on what the products look like, so that nothing of it ever gets old:
// the walk between the two, which does, is made for every question. Safe for
// concurrent use.
type Memo struct {
	mu    sync.Mutex
	most  int
	size  int // of young
	young map[string]string
	old   map[string]string // not asked for since young began
}

// NewMemo returns a Memo that holds about so many bytes.
func NewMemo(bytes int) *Memo { return &Memo{most: bytes, young: map[string]string{}} }

// Keys begin with what they are of.
const (
	memoTree = "t"
	memoText = "s"
	memoMark = "m"
	// The text of a tree that was not held against it.
	memoDeparsed = "d"
)

// mostDeparsed is the largest tree whose text is remembered as it was written: of larger
// ones it is when it was held against them.
const mostDeparsed = 4 << 10

func (m *Memo) get(kind, key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.young[kind+key]
	if !ok {
		if v, ok = m.old[kind+key]; ok {
			m.put(kind+key, v)
		}
	}
	return v, ok
}

func (m *Memo) add(kind, key, v string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(kind+key, v)
}

// put adds to the young half; when that is full it becomes the old one.
func (m *Memo) put(key, v string) {
	n := len(key) + len(v)
	if n > m.most/16 { // one large text must not push out all others
		return
	}
	if m.size+n > m.most/2 {
		m.old, m.young, m.size = m.young, map[string]string{}, 0
	}
	m.young[key] = v
	m.size += n
}

// Mark remembers a text for Marked.
func (m *Memo) Mark(text string) { m.add(memoMark, text, "") }

// Unmark forgets that a text was marked.
func (m *Memo) Unmark(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := memoMark + text
	if _, ok := m.young[key]; ok {
		m.size -= len(key)
	}
	delete(m.young, key)
	delete(m.old, key)
}

// Marked reports whether the text was marked, as far as that is remembered.
func (m *Memo) Marked(text string) bool {
	_, ok := m.get(memoMark, text)
	return ok
}

// Parser returns a Parser that answers from memory, and from the session that
// open gives for what is new to it.
func (m *Memo) Parser(open func(context.Context) (Session, error)) Parser {
	return &remembering{m, open}
}

type remembering struct {
	memo *Memo
	open func(context.Context) (Session, error)
}

// Parse implements Parser.
func (r *remembering) Parse(ctx context.Context, text string) ([]byte, error) {
	if v, ok := r.memo.get(memoTree, text); ok {
		return []byte(v), nil
	}
	s, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.Parse(ctx, text)
	if err == nil {
		r.memo.add(memoTree, text, string(b))
	}
	return b, err
}

// Deparse implements Parser.
func (r *remembering) Deparse(ctx context.Context, tree []byte) (string, error) {
	if v, ok := r.memo.get(memoDeparsed, string(tree)); ok {
		return v, nil
	}
	s, err := r.open(ctx)
	if err != nil {
		return "", err
	}
	text, err := s.Deparse(ctx, tree)
	if err == nil && len(tree) <= mostDeparsed {
		r.memo.add(memoDeparsed, string(tree), text)
	}
	return text, err
}

// written is the text of a tree that was written and held against it before.
func (r *remembering) written(tree []byte) (string, bool) {
	if r == nil {
		return "", false
	}
	return r.memo.get(memoText, string(tree))
}

// wrote remembers the text of a tree.
func (r *remembering) wrote(tree []byte, sql string) {
	if r != nil {
		r.memo.add(memoText, string(tree), sql)
	}
}
