package access

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weft"
	"weft/records"
)

// stopped is a clock that the test moves.
type stopped struct{ now time.Time }

func (s *stopped) Now() time.Time { return s.now }

func TestTokens(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "books.db")
	books, err := records.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	clock := &stopped{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	local, err := LocalToken(filepath.Join(t.TempDir(), "token"))
	if err != nil {
		t.Fatal(err)
	}
	tokens := NewTokens(books, clock, local)
	if id, err := tokens.Authenticate(ctx, local); err != nil || id.Scopes[0] != ScopeAdmin {
		t.Errorf("the local token is %+v, %v", id, err)
	}
	secret, _, err := tokens.Create(ctx, "ci", []Scope{ScopeApply}, nil, clock.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := tokens.Authenticate(ctx, secret); err != nil || id.Token != "ci" || len(id.Scopes) != 1 || id.Scopes[0] != ScopeApply {
		t.Errorf("the token is %+v, %v", id, err)
	}
	if _, _, err := tokens.Create(ctx, "ci", []Scope{ScopeRead}, nil, time.Time{}); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a second token of one name: %v", err)
	}
	for _, wrong := range []string{"", "weft_", secret + "x", secret[:len(secret)-1], local[:20], "bearer"} {
		if _, err := tokens.Authenticate(ctx, wrong); weft.KindOf(err) != weft.KindDenied {
			t.Errorf("a wrong token is answered with %v", err)
		}
	}
	for _, c := range []struct {
		name    string
		scopes  []Scope
		expires time.Time
	}{
		{"", []Scope{ScopeRead}, time.Time{}},
		{"none", nil, time.Time{}},
		{"unknown", []Scope{"root"}, time.Time{}},
		{"past", []Scope{ScopeRead}, clock.now.Add(-time.Second)},
	} {
		if _, _, err := tokens.Create(ctx, c.name, c.scopes, nil, c.expires); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("token %q was made: %v", c.name, err)
		}
	}
	clock.now = clock.now.Add(2 * time.Hour)
	if _, err := tokens.Authenticate(ctx, secret); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("an expired token is taken: %v", err)
	}
	list, err := tokens.List(ctx)
	if err != nil || len(list) != 1 || list[0].Used.IsZero() {
		t.Errorf("the list is %+v, %v", list, err)
	}
	if err := tokens.Revoke(ctx, "ci"); err != nil {
		t.Error(err)
	}
	if err := tokens.Revoke(ctx, "ci"); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestLocalTokenIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	first, err := LocalToken(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", st.Mode(), err)
	}
	if again, err := LocalToken(path); err != nil || again != first {
		t.Errorf("read again it is another one: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LocalToken(path); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("a token that others can read is taken: %v", err)
	}
}
