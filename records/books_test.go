package records

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
)

func TestBooks(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "books.db")
	b, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the books' mode is %v, %v", st.Mode(), err)
	}
	p := Product{
		ID: "a1", Name: weft.Name{Domain: "sales", Product: "orders"}, Folder: sha256.Sum256([]byte("one")),
		Dir: "/srv/orders", Revision: "3fa9c2+", Env: "prod", Applied: time.UnixMicro(1_700_000_000_000_001).UTC(),
	}
	if err := b.PutProduct(ctx, p, []byte("one")); err != nil {
		t.Fatal(err)
	}
	q := p
	q.Folder, q.Paused = sha256.Sum256([]byte("two")), true
	if err := b.PutProduct(ctx, q, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if ps, err := b.Products(ctx); err != nil || len(ps) != 1 || ps[0] != q {
		t.Errorf("the products are %+v, %v", ps, err)
	}
	for hash, want := range map[weft.Hash]string{p.Folder: "one", q.Folder: "two"} {
		if a, err := b.Archive(ctx, hash); err != nil || string(a) != want {
			t.Errorf("the archive is %q, %v", a, err)
		}
	}
	if _, err := b.Archive(ctx, weft.Hash{}); weft.KindOf(err) != weft.KindGone {
		t.Errorf("an archive that never was: %v", err)
	}
	for i := range keepAttempts + 5 {
		a := Attempt{Started: time.UnixMicro(int64(i)).UTC(), Outcome: Committed, Seq: weft.Seq(i)}
		if err := b.PutAttempt(ctx, p.ID, a); err != nil {
			t.Fatal(err)
		}
	}
	as, err := b.Attempts(ctx, p.ID, 1000)
	if err != nil || len(as) != keepAttempts || as[0].Seq != keepAttempts+4 {
		t.Errorf("%d attempts are kept, %v", len(as), err)
	}
	if err := b.DeleteProduct(ctx, q, time.Now()); err != nil {
		t.Fatal(err)
	}
	if as, err := b.Attempts(ctx, p.ID, 10); err != nil || len(as) != 0 {
		t.Errorf("a deleted product's attempts are kept: %+v, %v", as, err)
	}
}

func TestNewerBooksAreRefused(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "books.db")
	b, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.db.ExecContext(ctx, "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, path); weft.KindOf(err) != weft.KindConflict || weft.HintOf(err) == "" {
		t.Errorf("books of a newer program: %v", err)
	}
}

// TestNewerBooksKeepTheirSeal holds that books and seals of a newer version are
// refused by name and left as they are.
func TestNewerBooksKeepTheirSeal(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, path string)
	}{
		{"a newer seal", func(t *testing.T, path string) {
			write(t, path+sealSuffix, `{"magic":"weft seal","version":99,"digest":7}`+"\n")
		}},
		{"newer books", func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			binary.BigEndian.PutUint32(b[60:], 99)
			write(t, path, string(b))
			if err := putSeal(path); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "books.db")
			b, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			c.do(t, path)
			before := folder(t, filepath.Dir(path))
			_, err = Open(t.Context(), path)
			if weft.KindOf(err) != weft.KindConflict || !strings.Contains(fmt.Sprint(err), "newer Weft (format 99") {
				t.Errorf("%v of kind %s", err, weft.KindOf(err))
			}
			if after := folder(t, filepath.Dir(path)); !maps.Equal(before, after) {
				t.Errorf("the folder had %d files and has %d", len(before), len(after))
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// folder is the files of a folder, by name.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range es {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// TestTokensOfDomains: the books keep which domains a token is for, those of before
// are for none, and a program that does not know of domains finds no scope that it
// could grant.
func TestTokensOfDomains(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, filepath.Join(t.TempDir(), "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	for i, tok := range []Token{
		{Name: "all", Scopes: []string{"read", "apply"}},
		{Name: "one", Scopes: []string{"read"}, Domains: []string{"sales"}},
		{Name: "two", Scopes: []string{"read", "apply"}, Domains: []string{"sales", "places"}},
	} {
		tok.Created = time.UnixMicro(1).UTC()
		if err := b.PutToken(ctx, tok, weft.Hash{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if got, err := b.FindToken(ctx, weft.Hash{byte(i)}); err != nil || !slices.Equal(got.Scopes, tok.Scopes) || !slices.Equal(got.Domains, tok.Domains) {
			t.Errorf("%+v %v", got, err)
		}
		var text string
		if err := b.db.QueryRowContext(ctx, "SELECT scopes FROM token WHERE name=?", tok.Name).Scan(&text); err != nil {
			t.Fatal(err)
		}
		for _, w := range strings.Fields(text) {
			if known := w == "read" || w == "apply"; known != (len(tok.Domains) == 0) {
				t.Errorf("an older program reads the scope %q of token %s", w, tok.Name)
			}
		}
	}
	// As books of a version before domains say it.
	if _, err := b.db.ExecContext(ctx, "INSERT INTO token(name, digest, scopes, created, expires) VALUES ('old', x'09', 'read metrics', 1, 0)"); err != nil {
		t.Fatal(err)
	}
	list, err := b.Tokens(ctx)
	if err != nil || len(list) != 4 || list[1].Name != "old" || len(list[1].Domains) != 0 || !slices.Equal(list[1].Scopes, []string{"read", "metrics"}) {
		t.Errorf("%+v %v", list, err)
	}
}
