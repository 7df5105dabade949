package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMappings holds how long files stay mapped, and that a file in the place of
// another is never taken for it.
func TestMappings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	var m mappings
	defer m.close()
	open := func(want string) *byte {
		t.Helper()
		m.begin()
		b, err := m.open(path)
		if err != nil || string(b) != want {
			t.Fatalf("%q, %v; wanted %q", b, err, want)
		}
		m.settle()
		m.end()
		return &b[0]
	}
	write("one")
	first := open("one")
	if open("one") != first || len(m.files) != 1 {
		t.Error("a file that is there again was mapped again")
	}
	write("two")
	if open("two") == first {
		t.Error("another file has the memory of the one before")
	}
	for range keepMapped {
		m.begin()
		m.settle()
		m.end()
	}
	if len(m.files) != 1 {
		t.Errorf("%d files are mapped, the last one should be", len(m.files))
	}
	m.begin()
	m.settle()
	if len(m.files) != 0 {
		t.Errorf("%d files are mapped that nobody asked for in %d statements", len(m.files), keepMapped)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := m.add(int(f.Fd()), 3, true); err != nil || len(m.files) != 1 {
		t.Fatal(err, len(m.files))
	}
	m.end()
	if len(m.files) != 0 {
		t.Error("what one statement alone has stays mapped")
	}
	if _, err := m.add(int(f.Fd()), 4, true); err == nil {
		t.Error("a file of another size was taken")
	}
}
