package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

// The encodings that the store has for keys.
func keyNumber(v int64) []byte   { return keyUnsigned(v ^ -1<<63) }
func keyUnsigned(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

func keyText(s string) []byte {
	return append([]byte(strings.ReplaceAll(s, "\x00", "\x00\xff")), 0, 1)
}

// position is where in a set a key is, -1 where it is not.
func position(k *KeySet, key []byte) int {
	at, _ := k.find(key, hashKey(key, k.seed))
	return at
}

// bytesOf is the file of a set.
func bytesOf(k *KeySet, of uint64) []byte {
	var b bytes.Buffer
	_ = k.Write(&b, of) // to memory
	return b.Bytes()
}

// openBytes reads the head of a file and holds all of it.
func openBytes(b []byte, of uint64) (*KeyFile, error) {
	f, err := OpenKeyFile(bytes.NewReader(b), int64(len(b)), of)
	if err == nil {
		err = f.Check()
	}
	return f, err
}

// TestKeySetAgainstMap grows sets of both kinds at random and holds them, and
// what they were before they grew, against maps.
func TestKeySetAgainstMap(t *testing.T) {
	for _, width := range []int{8, 0} {
		rnd := rand.New(rand.NewPCG(uint64(width), 1))
		k, want := NewKeySet(width, rnd.Uint64()), map[string]int64{}
		var before []*KeySet
		for i := range 30_000 {
			key := keyNumber(rnd.Int64N(20_000))
			if width == 0 {
				key = keyText(strings.Repeat("k", rnd.IntN(40)) + fmt.Sprint(rnd.IntN(500)))
			}
			number := int64(i)
			if rnd.IntN(50) == 0 {
				number = rnd.Int64N(int64(i + 1))
			}
			grown, err := k.Add(key, number)
			if err != nil {
				t.Fatal(err)
			}
			if grown != k {
				before = append(before, k)
			}
			k = grown
			old, there := want[string(key)]
			if at := position(k, key); at < 0 || string(k.key(at)) != string(key) || !there && at != len(want) {
				t.Fatalf("key %x: there before %v, position %d", key, there, at)
			}
			if !there || number < old {
				want[string(key)] = number
			}
		}
		if k.count != len(want) {
			t.Fatal(k.count, len(want))
		}
		for key, n := range want {
			if at := position(k, []byte(key)); at < 0 || k.numbers[at] != n {
				t.Fatalf("key %x has number %d, want %d", key, k.numbers[at], n)
			}
		}
		for _, b := range before {
			for i := range b.count {
				if position(b, b.key(i)) != i {
					t.Fatal("a set lost a key when it grew")
				}
			}
		}
	}
}

// TestChanged asks sets of every type of key through a worker: what is in them up
// to a number, in memory, in shared memory and in a file.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	s := sessionOf(t, SessionConfig{Read: []string{dir}, Ordered: true})
	even := func(k *KeySet, encode func(i int64) []byte, n int64) *KeySet {
		for i := int64(0); i < n; i += 2 {
			var err error
			if k, err = k.Add(encode(i), 1+i%20); err != nil {
				t.Fatal(err)
			}
		}
		return k
	}
	wide := func(hi, lo uint64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hi), lo)
	}
	number := func(i int64) []byte { return wide(uint64(i>>63)^1<<63, uint64(i)) }
	for _, c := range []struct {
		key    string // of i, as SQL
		width  int
		encode func(i int64) []byte
		least  int64 // of i
	}{
		{"i::BIGINT", 8, keyNumber, -3000},
		{"i::INTEGER", 8, keyNumber, -3000},
		{"i::SMALLINT", 8, keyNumber, -3000},
		{"(i % 100)::TINYINT", 8, func(i int64) []byte { return keyNumber(i % 100) }, -3000},
		{"i::UBIGINT", 8, keyUnsigned, 0},
		{"i::UINTEGER", 8, keyUnsigned, 0},
		{"i::USMALLINT", 8, keyUnsigned, 0},
		{"DATE '2020-01-01' + i::INTEGER", 8, func(i int64) []byte { return keyNumber(18262 + i) }, -3000},
		{"make_timestamp(i)", 8, keyNumber, -3000},
		{"make_timestamptz(i)", 8, keyNumber, -3000},
		{"make_time(0, 0, 0) + INTERVAL (i) SECOND", 8, func(i int64) []byte { return keyNumber(i * 1_000_000) }, 0},
		{"i::DECIMAL(4,0)", 16, number, -3000},
		{"i::DECIMAL(9,0)", 16, number, -3000},
		{"i::DECIMAL(18,2)", 16, func(i int64) []byte { return number(i * 100) }, -3000},
		{"i::DECIMAL(38,0)", 16, number, -3000},
		{"('00112233-4455-6677-8899-' || format('{:012x}', i))::UUID", 16, func(i int64) []byte { return wide(0x0011223344556677, 0x8899<<48|uint64(i)) }, 0},
		{"i::VARCHAR", 0, func(i int64) []byte { return keyText(fmt.Sprint(i)) }, -3000},
		{"repeat('é', i % 150) || i", 0, func(i int64) []byte { return keyText(strings.Repeat("é", int(i%150)) + fmt.Sprint(i)) }, 0},
		{"i || chr(0) || i", 0, func(i int64) []byte { return keyText(fmt.Sprint(i, "\x00", i)) }, -3000},
		{"(i % 2 = 0), i::BIGINT", 9, func(i int64) []byte { return append([]byte{1}, keyNumber(i)...) }, -3000},
		{"i::BIGINT, (-i)::INTEGER", 16, func(i int64) []byte { return append(keyNumber(i), keyNumber(-i)...) }, -3000},
		{"'x' || i, i::DECIMAL(9,0), i::VARCHAR, i % 2 = 0", 0, func(i int64) []byte {
			return append(append(append(keyText(fmt.Sprint("x", i)), number(i)...), keyText(fmt.Sprint(i))...), 1)
		}, -3000},
	} {
		t.Run(c.key, func(t *testing.T) {
			small, large := even(NewKeySet(c.width, 7), c.encode, 100), even(NewKeySet(c.width, 8), c.encode, 3000)
			if large.count > 1000 && large.file == nil {
				t.Fatal("a large set is not in shared memory")
			}
			path := filepath.Join(dir, "set.keys")
			if err := os.WriteFile(path, bytesOf(large, 3), 0o600); err != nil {
				t.Fatal(err)
			}
			if f, err := openBytes(bytesOf(large, 3), 3); err != nil || f.Len() != large.count {
				t.Fatal(err)
			}
			for _, q := range []struct {
				sets []KeysUpTo
				n    int64
			}{
				{[]KeysUpTo{{Set: small, From: 1, UpTo: 100}}, 100},
				{[]KeysUpTo{{Set: large, From: 1, UpTo: 100}}, 3000},
				{[]KeysUpTo{{Path: path, From: 1, UpTo: 100}}, 3000},
				{[]KeysUpTo{{Set: small, From: 1, UpTo: 100}, {Path: path, From: 1, UpTo: 100}, {Set: large, From: 1, UpTo: 100}}, 3000},
				{[]KeysUpTo{{Set: small, From: 1, UpTo: 100}, {Path: path, From: 1, UpTo: 0}}, 100},
			} {
				sql := fmt.Sprintf("SELECT count(*) FILTER (NOT weft_unchanged('k', 0, %s) IS DISTINCT FROM (i >= 0 AND i < %d AND i %% 2 = 0)) FROM range(%d, 3000) t(i)", c.key, q.n, c.least)
				if strings.Contains(c.key, "TINYINT") {
					sql = strings.Replace(sql, fmt.Sprintf("i < %d", q.n), "true", 1)
					sql = strings.Replace(sql, "i >= 0", "i % 100 >= 0", 1)
				}
				got := numbersOf(t, s, Statement{SQL: sql, Sources: []Source{{Name: "k", Sets: q.sets}}})
				if fmt.Sprint(got) != "[0]" {
					t.Errorf("%v rows are answered wrongly (%d sets)", got, len(q.sets))
				}
			}
			sql := fmt.Sprintf("SELECT count(*) FILTER (NOT weft_unchanged('k', 0, %s)) FROM range(0, 3000) t(i)", c.key)
			got := numbersOf(t, s, Statement{SQL: sql, Sources: []Source{{Name: "k", Sets: []KeysUpTo{{Set: large, From: 1, UpTo: 10}}}}})
			if !strings.Contains(c.key, "TINYINT") && fmt.Sprint(got) != "[750]" {
				t.Error("up to a number", got)
			}
			// Each row asks the sets that begin after its own number.
			sql = fmt.Sprintf("SELECT count(*) FILTER (NOT weft_unchanged('k', i %% 3, %s) IS DISTINCT FROM (i %% 2 = 0 AND (i < 100 AND i %% 3 < 1 OR i %% 3 < 2))) FROM range(0, 3000) t(i)", c.key)
			got = numbersOf(t, s, Statement{SQL: sql, Sources: []Source{{Name: "k", Sets: []KeysUpTo{{Set: small, From: 1, UpTo: 100}, {Path: path, From: 2, UpTo: 100}}}}})
			if !strings.Contains(c.key, "TINYINT") && fmt.Sprint(got) != "[0]" {
				t.Error("since a number", got)
			}
		})
	}
}

// numbersOf runs a SELECT of one number and returns its rows.
func numbersOf(t *testing.T, s Session, st Statement) []int64 {
	t.Helper()
	r, err := s.Query(context.Background(), st)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var out []int64
	for r.Next() {
		out = append(out, r.RecordBatch().Column(0).(*array.Int64).Int64Values()...)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return out
}

func TestChangedOfNullsAndFaults(t *testing.T) {
	dir := t.TempDir()
	s := sessionOf(t, SessionConfig{Read: []string{dir}})
	k, _ := NewKeySet(8, 1).Add(keyNumber(0), 1)
	src := []Source{{Name: "k", Sets: []KeysUpTo{{Set: k, From: 1, UpTo: 9}}}}
	if got := numbersOf(t, s, Statement{SQL: "SELECT i FROM (VALUES (NULL::BIGINT), (0), (1)) t(i) WHERE weft_unchanged('k', 0, i) ORDER BY i NULLS FIRST", Sources: src}); len(got) != 2 {
		t.Error("a null is no key:", got)
	}
	bad := bytesOf(k, 3)
	bad[25]++
	file := filepath.Join(dir, "bad.keys")
	if err := os.WriteFile(file, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "k.keys")
	if err := os.WriteFile(outside, bytesOf(k, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sql string
		src []Source
	}{
		{"SELECT weft_unchanged('other', 1::BIGINT)", src},
		{"SELECT weft_unchanged('k', 0, 'text')", src},
		{"SELECT weft_unchanged('k', 0, 1.5::DOUBLE)", src},
		{"SELECT weft_unchanged('k')", src},
		{"SELECT weft_unchanged(i, 0, 1::BIGINT) FROM (VALUES ('k')) t(i)", src},
		{"SELECT weft_unchanged('k', 0, 1::BIGINT)", []Source{{Name: "k", Sets: []KeysUpTo{{Path: file}}}}},
		{"SELECT weft_unchanged('k', 0, 1::BIGINT)", []Source{{Name: "k", Sets: []KeysUpTo{{Path: filepath.Join(dir, "none")}}}}},
		{"SELECT weft_unchanged('k', 0, 1::BIGINT)", []Source{{Name: "k", Sets: []KeysUpTo{{Path: outside}}}}},
	} {
		r, err := s.Query(context.Background(), Statement{SQL: c.sql, Sources: c.src})
		if err == nil {
			r.Release()
			t.Error("no error:", c.sql)
		}
	}
	if got := numbersOf(t, s, Statement{SQL: "SELECT i FROM range(3) t(i) WHERE weft_unchanged('k', 0, i) ORDER BY i", Sources: src}); len(got) != 2 {
		t.Error("the session is not well afterwards:", got)
	}
}

// TestNobodyElseCallsChanged proves that the gate lets no query name it.
func TestNobodyElseCallsChanged(t *testing.T) {
	s := sessionOf(t, SessionConfig{})
	for _, sql := range []string{"SELECT weft_unchanged('k', 0, 1)", "SELECT main.weft_unchanged('k', 0, 1)", "SELECT system.main.WEFT_UNCHANGED('k', 1)", "SELECT * FROM arrow_source('k')"} {
		for _, owner := range []bool{false, true} {
			if _, err := Bind(context.Background(), s, sql, Rules{Owner: owner}); weft.KindOf(err) != weft.KindInvalid {
				t.Error(sql, err)
			}
		}
	}
}

// FuzzKeySet gives arbitrary bytes for a set: they are refused or stay within
// their bounds.
func FuzzKeySet(f *testing.F) {
	k, _ := NewKeySet(8, 1).Add(keyNumber(5), 1)
	f.Add(bytesOf(k, 3))
	k, _ = NewKeySet(0, 1).Add(keyText("five"), 1)
	f.Add(bytesOf(k, 3))
	d, err := OpenDirect(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = d.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := openBytes(b, 3); err == nil {
			n := 0
			_ = k.each(func([]byte, int64) error { n++; return nil })
			if n > k.Len() {
				t.Errorf("%d keys of %d", n, k.Len())
			}
		}
		if shape, err := readShape(b, int64(len(b))); err != nil || shape.width != 8 && shape.width != 0 {
			return
		}
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		src := []Source{{Name: "k", Sets: []KeysUpTo{{Path: path, From: 1, UpTo: 1 << 60}}}}
		for _, sql := range []string{"SELECT count(*) FROM range(100) t(i) WHERE weft_unchanged('k', 0, i)", "SELECT count(*) FROM range(100) t(i) WHERE weft_unchanged('k', 0, 'five' || i)"} {
			r, err := d.Query(context.Background(), Statement{SQL: sql, Sources: src})
			if err != nil {
				continue
			}
			for r.Next() {
			}
			r.Release()
		}
	})
}

// TestSharedRowsAndMarks reads batches that were laid out once, with more behind
// them, cut off at a row, with a column of marks.
func TestSharedRowsAndMarks(t *testing.T) {
	s := sessionOf(t, SessionConfig{})
	schema := arrow.NewSchema([]arrow.Field{{Name: "i", Type: arrow.PrimitiveTypes.Int64}}, nil)
	at := int64(0)
	some := func(n int) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range n {
			b.Field(0).(*array.Int64Builder).Append(at)
			at++
		}
		return b.NewRecordBatch()
	}
	one, err := Share(schema, []arrow.RecordBatch{some(3000), some(1)})
	if err != nil {
		t.Fatal(err)
	}
	two, err := Share(schema, []arrow.RecordBatch{some(77)})
	if err != nil {
		t.Fatal(err)
	}
	rest := []arrow.RecordBatch{some(2100), some(5)}
	marks := make([]byte, (at+7)/8)
	for i := int64(0); i < at; i += 3 {
		marks[i/8] |= 1 << (i % 8)
	}
	for _, n := range []int64{at, at - 1, 3001, 3002, 3000, 1, 3078 + 500} {
		src := Source{Name: "s", Schema: schema, Shared: []*Shared{one, two}, Batches: rest, Rows: n, Mark: "m", Marks: marks}
		got := numbersOf(t, s, Statement{SQL: "SELECT count(*) * 1000000 + count(*) FILTER (m IS DISTINCT FROM (i % 3 = 0)) FROM arrow_source('s') UNION ALL SELECT sum(i)::BIGINT FROM arrow_source('s')", Sources: []Source{src}})
		if len(got) != 2 || got[0] != n*1_000_000 || got[1] != n*(n-1)/2 {
			t.Error(n, got)
		}
	}
	src := Source{Name: "s", Schema: schema, Shared: []*Shared{one}, Mark: "m", Marks: []byte{1}}
	if r, err := s.Query(context.Background(), Statement{SQL: "FROM arrow_source('s')", Sources: []Source{src}}); err == nil {
		r.Release()
		t.Error("marks for fewer rows than there are were taken")
	}
}

func sessionOf(t *testing.T, cfg SessionConfig) Session {
	return testSession(t, func(c *SessionConfig) { c.Read, c.Ordered = cfg.Read, cfg.Ordered })
}

// Sets that were joined say of every key what a set of all keys would say.
func TestJoinKeySets(t *testing.T) {
	for _, width := range []int{0, 8} {
		all := NewKeySet(width, 7)
		var sets []Keys
		var keys [][]byte
		add := func(k *KeySet, key []byte, number int64) *KeySet {
			k, err := k.Add(key, number)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		for i, n := range []int{3000, 1, 0, 500} {
			set := NewKeySet(width, 7)
			for j := range n {
				key := fmt.Appendf(nil, "%08d", j*(i+1)%2000)
				if width == 0 {
					key = append(key, strings.Repeat("x", j%5)...)
				}
				number := int64(1000*(4-i) + j)
				set, all = add(set, key, number), add(all, key, number)
				keys = append(keys, key)
			}
			if i%2 == 1 {
				sets = append(sets, set)
				continue
			}
			f, err := openBytes(bytesOf(set, 5), 5)
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, f)
		}
		one, err := JoinKeySets(width, 7, sets...)
		if err != nil || one.count != all.count {
			t.Fatal(err)
		}
		for _, key := range keys {
			a, b := position(one, key), position(all, key)
			if a < 0 || one.numbers[a] != all.numbers[b] {
				t.Fatalf("%q: %d at %d, wanted %d", key, one.numbers[a], a, all.numbers[b])
			}
		}
		if _, err := JoinKeySets(width+4, 7, sets...); err == nil {
			t.Fatal("sets of another width were joined")
		}
	}
}

// A set's memory is unmapped when nobody has the set any more, and not while it
// is read for the last time.
func TestKeySetsAreKeptWhileRead(t *testing.T) {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	for range 8 {
		set, err := NewKeySet(8, 1).Copy(1<<20, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := openBytes(bytesOf(set, 1), 1); err != nil || n.Len() != 0 {
			t.Fatal(n, err)
		}
	}
	close(stop)
	<-done
}

// TestStillStaysAsItWas takes a set for workers and adds to it: what a worker may be
// reading is another's memory, or one that they map.
func TestStillStaysAsItWas(t *testing.T) {
	for _, n := range []int{0, 10, 5000} {
		k := NewKeySet(8, 7)
		var err error
		for i := range n {
			if k, err = k.Add(keyNumber(int64(i)), int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		still := k.Still()
		if (still == k) != (k.file != nil) || (k.file != nil) != (n == 5000) {
			t.Fatalf("%d keys: copied %v", n, still != k)
		}
		if still == k {
			continue
		}
		before := bytesOf(still, 1)
		if !bytes.Equal(before, bytesOf(k, 1)) {
			t.Errorf("%d keys: the copy is another set", n)
		}
		for i := range 40 {
			if k, err = k.Add(keyNumber(int64(-1-i)), 3); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(before, bytesOf(still, 1)) {
			t.Errorf("%d keys: the copy has changed", n)
		}
		for i := range n {
			if position(still, keyNumber(int64(i))) != i {
				t.Errorf("%d keys: the copy lacks key %d", n, i)
			}
		}
	}
}

// TestKeyFilesAreHeld flips and cuts files of keys, and fails their reads.
func TestKeyFilesAreHeld(t *testing.T) {
	for _, width := range []int{0, 8} {
		k := NewKeySet(width, 7)
		for i := range 200 {
			var err error
			if k, err = k.Add(fmt.Appendf(nil, "%08d", i), int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		good := bytesOf(k, 5)
		if _, err := openBytes(good, 5); err != nil {
			t.Fatal(err)
		}
		if _, err := openBytes(good, 6); err == nil {
			t.Error("a file of something else was taken")
		}
		for at := range good {
			bad := bytes.Clone(good)
			bad[at] ^= 1 << (at % 8)
			if _, err := openBytes(bad, 5); err == nil {
				t.Errorf("width %d: a flip of byte %d was not found", width, at)
			}
		}
		for n := 0; n < len(good); n += 7 {
			if _, err := openBytes(good[:n], 5); err == nil {
				t.Errorf("width %d: %d bytes of %d were taken", width, n, len(good))
			}
		}
		f, err := OpenKeyFile(failing{bytes.NewReader(good), int64(len(good) / 2)}, int64(len(good)), 5)
		if err == nil {
			err = f.Check()
		}
		if !errors.Is(err, errFailing) {
			t.Errorf("a disk that fails: %v", err)
		}
	}
}

// failing is a reader that fails behind a place.
type failing struct {
	io.ReaderAt
	from int64
}

var errFailing = errors.New("the disk fails")

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > f.from {
		return 0, errFailing
	}
	return f.ReaderAt.ReadAt(b, at)
}
