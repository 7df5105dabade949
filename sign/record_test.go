package sign

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
)

func sealed(t testing.TB, body any, keys ...Key) *Record {
	t.Helper()
	r, err := Seal(Head{Mesh: Digest([]byte("mesh")), Kind: "card", Key: "sales.orders", Version: 3, Time: time.Unix(7, 0)}, body, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRecordIsWhatWasSigned holds that a record is read as it was written, and that
// one changed byte of it is noticed.
func TestRecordIsWhatWasSigned(t *testing.T) {
	a, b := NewKey(), NewKey()
	r := sealed(t, map[string]any{"product": "sales.orders", "text": "a\nb <&> é"}, a, b)
	again, err := Open(r.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash() != r.Hash() || again.Key != "sales.orders" || !slices.Equal(again.Signers, []weft.KeyID{a.ID(), b.ID()}) {
		t.Errorf("read is %+v", again)
	}
	var body struct{ Text string }
	if err := again.Decode(&body); err != nil || body.Text != "a\nb <&> é" {
		t.Errorf("the body is %q, %v", body.Text, err)
	}
	for i := range r.Raw() {
		bad := bytes.Clone(r.Raw())
		bad[i] ^= 1
		if _, err := Open(bad); weft.KindOf(err) != weft.KindInvalid {
			t.Fatalf("byte %d changed gives %v", i, err)
		}
	}
	for i := range r.Raw() {
		if _, err := Open(r.Raw()[:i]); err == nil {
			t.Fatalf("a record cut at %d is taken", i)
		}
	}
}

func TestRecordIsBounded(t *testing.T) {
	if _, err := Seal(Head{Kind: "card", Key: "a.b", Version: 1}, strings.Repeat("x", MaxRecord), NewKey()); err == nil {
		t.Error("a record above the bound is written")
	}
	if _, err := Open(bytes.Repeat([]byte("x"), MaxRecord+1)); err == nil {
		t.Error("a record above the bound is read")
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if _, err := LoadKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file gives %v", err)
	}
	k := NewKey()
	if err := SaveKey(path, k); err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(path)
	if err != nil || again.ID() != k.ID() {
		t.Fatalf("read is %s, %v", again, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("a file that others may read gives %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(sealed(f, "x", NewKey()).Raw())
	f.Add([]byte("{\"format\":1}\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Open(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Raw(), b) || r.Hash() != Digest(b) {
			t.Error("a record is not its bytes")
		}
	})
}
