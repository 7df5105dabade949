package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"weft"
	"weft/records"
	"weft/run"
)

// Scope is what a token may do.
type Scope string

// The scopes. Each is a whole; only admin includes the others.
const (
	ScopeRead    Scope = "read"    // ask questions and look at products
	ScopeApply   Scope = "apply"   // apply folders, for CI, and nothing else
	ScopeMetrics Scope = "metrics" // read what the node counts, and nothing else
	ScopeLineage Scope = "lineage" // tell of lineage outside, and nothing else
	ScopeAdmin   Scope = "admin"   // everything
)

// prefix makes a leaked token easy to find in a log or a repository.
const prefix = "weft_"

// Identity is whom a token stands for.
type Identity struct {
	Subject weft.Subject // of the domains that the token names, none where it is of the node's
	Token   string       // the token's name
	Scopes  []Scope
}

// Tokens makes and checks access tokens. Safe for concurrent use.
type Tokens struct {
	books *records.Books
	clock run.Clock

	mu    sync.Mutex
	local weft.Hash            // digest of the local administrator's token
	used  map[string]time.Time // when the use of a token was last written down
}

// NewTokens returns the tokens kept in books; local is the text of the data
// folder's own token (see LocalToken).
func NewTokens(books *records.Books, clock run.Clock, local string) *Tokens {
	return &Tokens{books: books, clock: clock, local: digest(local), used: map[string]time.Time{}}
}

// SetLocal takes another token as the data folder's own: the one before ends.
func (t *Tokens) SetLocal(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.local = digest(token)
}

// LocalToken reads the administrator's token from path, making it where there is
// none. The file is readable by its owner only; one that others can read is
// refused, since it gives everything away.
func LocalToken(path string) (string, error) {
	const op = "read the local token"
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o077 != 0 {
			return "", weft.Errorf(weft.KindDenied, op, path, "others can read the file (mode %04o)", st.Mode().Perm()).
				WithHint("delete it and start the node again: it makes a new token")
		}
		t := strings.TrimSpace(string(b))
		if !whole(string(b)) {
			return "", weft.Errorf(weft.KindCorrupt, op, path, "the file holds no token").
				WithHint("delete it and start the node again: it makes a new token")
		}
		return t, nil
	case !os.IsNotExist(err):
		return "", weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	t := newSecret()
	tmp, err := os.CreateTemp(filepath.Dir(path), ".token-*") // made with mode 0600
	if err != nil {
		return "", weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	_, werr := tmp.WriteString(t + "\n")
	if err := firstOf(werr, tmp.Sync(), tmp.Close(), os.Rename(tmp.Name(), path)); err != nil {
		_ = os.Remove(tmp.Name())
		return "", weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	return t, nil
}

// Authenticate returns whom the token stands for. Every failure is the same
// KindDenied, so that a guess learns nothing.
func (t *Tokens) Authenticate(ctx context.Context, token string) (Identity, error) {
	denied := weft.Errorf(weft.KindDenied, "check the token", "", "the token is not known here, or has expired").
		WithHint("the local token is in .weft/token; `weft token create` makes others")
	if !strings.HasPrefix(token, prefix) || len(token) > 200 {
		return Identity{}, denied
	}
	d := digest(token)
	t.mu.Lock()
	local := t.local
	t.mu.Unlock()
	if d == local { // digests: the time to compare says nothing about the token
		return Identity{
			Subject: weft.Subject{Kind: weft.SubjectPerson, ID: "local administrator"},
			Token:   "local",
			Scopes:  []Scope{ScopeAdmin},
		}, nil
	}
	rec, err := t.books.FindToken(ctx, d)
	if err != nil {
		if weft.KindOf(err) == weft.KindNotFound {
			return Identity{}, denied
		}
		return Identity{}, err
	}
	now := t.clock.Now()
	if !rec.Expires.IsZero() && now.After(rec.Expires) {
		return Identity{}, denied
	}
	t.noteUse(ctx, rec.Name, now)
	id := Identity{Subject: weft.Subject{Kind: weft.SubjectService, ID: rec.Name, Domains: rec.Domains}, Token: rec.Name}
	for _, s := range rec.Scopes {
		id.Scopes = append(id.Scopes, Scope(s))
	}
	return id, nil
}

// noteUse writes the use down, at most once a minute: it is for people who clean
// up, and not worth a write a request. A failure to note is no failure to serve.
func (t *Tokens) noteUse(ctx context.Context, name string, now time.Time) {
	t.mu.Lock()
	due := now.Sub(t.used[name]) >= time.Minute
	if due {
		t.used[name] = now
	}
	t.mu.Unlock()
	if due {
		_ = t.books.UseToken(ctx, name, now)
	}
}

// Create makes a token and returns its text, which is shown once and kept nowhere.
// One that is for domains is of these instead of the node's; it cannot have scope
// admin, which is for the node as a whole.
func (t *Tokens) Create(ctx context.Context, name string, scopes []Scope, domains []string, expires time.Time) (string, records.Token, error) {
	const op = "make a token"
	if name == "" || len(name) > 100 {
		return "", records.Token{}, weft.Errorf(weft.KindInvalid, op, "", "a token wants a name of 1 to 100 characters").WithHint("name who uses it, such as ci-sales")
	}
	if len(scopes) == 0 {
		return "", records.Token{}, weft.Errorf(weft.KindInvalid, op, name, "a token wants at least one scope").WithHint("the scopes are read, apply, metrics, lineage and admin")
	}
	rec := records.Token{Name: name, Created: t.clock.Now(), Expires: expires, Domains: domains}
	for _, d := range domains {
		if err := weft.CheckName(d); err != nil {
			return "", records.Token{}, err
		}
	}
	for _, s := range scopes {
		if s == ScopeAdmin && len(domains) > 0 {
			return "", records.Token{}, weft.Errorf(weft.KindInvalid, op, name, "scope admin is for the node as a whole, and the token is for %s", strings.Join(domains, ", ")).
				WithHint("take scope read or apply, or leave the domain out")
		}
		if s != ScopeRead && s != ScopeApply && s != ScopeMetrics && s != ScopeLineage && s != ScopeAdmin {
			return "", records.Token{}, weft.Errorf(weft.KindInvalid, op, name, "there is no scope %q", string(s)).WithHint("the scopes are read, apply, metrics, lineage and admin")
		}
		rec.Scopes = append(rec.Scopes, string(s))
	}
	if !expires.IsZero() && !expires.After(rec.Created) {
		return "", records.Token{}, weft.Errorf(weft.KindInvalid, op, name, "the token would have expired already")
	}
	secret := newSecret()
	if err := t.books.PutToken(ctx, rec, digest(secret)); err != nil {
		return "", records.Token{}, err
	}
	return secret, rec, nil
}

// List returns the tokens, without their secrets.
func (t *Tokens) List(ctx context.Context) ([]records.Token, error) { return t.books.Tokens(ctx) }

// Revoke ends a token at once.
func (t *Tokens) Revoke(ctx context.Context, name string) error {
	return t.books.DeleteToken(ctx, name)
}

func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	t := prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return t + checksum(t)
}

// checksum is what a token ends with: it tells a token that was damaged or cut
// from one that is not known, and says nothing about it.
func checksum(t string) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(t))))
}

// whole reports whether a file holds a token as it was written: with a checksum,
// or of format version 1 and without.
func whole(file string) bool {
	const bare, sum = len(prefix) + 43, 6
	t, ended := strings.CutSuffix(file, "\n")
	switch {
	case !ended || !strings.HasPrefix(t, prefix):
		return false
	case len(t) == bare:
		return true
	}
	return len(t) == bare+sum && checksum(t[:bare]) == t[bare:]
}

func digest(token string) weft.Hash { return sha256.Sum256([]byte(token)) }

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("write the file: %w", err)
		}
	}
	return nil
}
