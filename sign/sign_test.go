package sign

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"weft"
)

func TestCanonicalIsOneForm(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"b": 1, "a": {"d":2,"c":"<&>"}}`, `{"a":{"c":"<&>","d":2},"b":1}`},
		{`[12345678901234567890, 1.50, null]`, `[12345678901234567890,1.50,null]`},
	} {
		b, err := Canonical(json.RawMessage(c.in))
		if err != nil || string(b) != c.want {
			t.Errorf("%s gave %s, %v", c.in, b, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.Int64()).Draw(t, "m")
		once, err := Canonical(m)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Canonical(json.RawMessage(once))
		if err != nil || string(once) != string(twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}

func TestDigestIsOverTheBytesAlone(t *testing.T) {
	a := Digest([]byte("ab"), []byte("c"))
	b, n, err := DigestReader(strings.NewReader("abc"))
	if a != b || n != 3 || err != nil {
		t.Fatal(a, b, n, err)
	}
	if a.String() != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Fatal(a)
	}
	l := Link{Digest: a}
	if !l.Follows(Link{Previous: b}) || l.Follows(Link{}) {
		t.Fatal("a link follows by its predecessor's digest")
	}
}

func TestIdentityIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := LoadIdentity(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = id.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || len(id) != 64 {
			t.Fatal(ids)
		}
	}
	st, _ := os.Stat(path)
	if st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode())
	}
	id, _ := LoadIdentity(path)
	sig := id.Sign([]byte("m"))
	if !Verify(id.Public(), []byte("m"), sig) || Verify(id.Public(), []byte("n"), sig) || Verify(nil, nil, sig) {
		t.Fatal("signatures do not hold")
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Fatal(left)
	}
}

func TestIdentityRefusesBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		path string
		kind weft.Kind
	}{
		{write("open", "", 0o644), weft.KindDenied},
		{write("empty", "", 0o600), weft.KindCorrupt},
		{write("other", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600), weft.KindCorrupt},
		{write("long", strings.Repeat("x", 1<<17), 0o600), weft.KindCorrupt},
		{filepath.Join(dir, "no", "folder"), weft.KindUnavailable},
	} {
		if _, err := LoadIdentity(c.path); weft.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}
