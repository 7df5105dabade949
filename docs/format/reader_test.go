// Package format_test reads the golden folders with what the pages beside it say
// and nothing of the store's code: the pages are enough.
package format_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weft/store/goldentest"
)

// A header, as far as reading rows needs it.
type header struct {
	Seq      int64
	Previous string
	Tables   []struct {
		Table, Op, Schema string
		Key, Blocks       []string
		Files             []dataFile
	}
}

type dataFile struct {
	Name, Form, Hash           string
	First, Last, Merges, Bytes int64
}

type manifest struct {
	Checkpoint struct {
		Seq, Header, End int64
		Hash             string
		Segment          int
	}
	Tables []struct {
		Name  string
		Spans []span
	}
	History []dataFile
}

type span struct {
	From  int64
	Key   []string
	Files []dataFile
	tail  []change
	later []dataFile // bulk files behind the checkpoint
}

// change is one row of a change: its cells as text, _op and the commits between
// which it holds within its level.
type change struct {
	seq, to int64
	op      string
	cells   []string
}

const forever = 1<<62 - 1

type reader struct {
	t       *testing.T
	dir     string
	commits map[int64]string // hash by Seq
	man     manifest
	spans   map[string][]*span // of the two tables that are read here
}

func TestThePagesAreEnough(t *testing.T) {
	golden := "../../store/testdata/golden"
	archives, err := filepath.Glob(filepath.Join(golden, "*", "full.tar.zst"))
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(filepath.Dir(archive)), func(t *testing.T) {
			r := &reader{t: t, dir: t.TempDir(), commits: map[int64]string{}, spans: map[string][]*span{}}
			goldentest.Unpack(t, archive, r.dir)
			text, err := os.ReadFile(strings.TrimSuffix(archive, ".tar.zst") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			r.manifest()
			r.journal()
			r.compare(string(text))
		})
	}
}

func (r *reader) read(name string) []byte {
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func digest(b []byte) string {
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}

// manifest: manifest.md.
func (r *reader) manifest() {
	var e struct {
		Magic   string
		Version int
		Digest  string
		Body    json.RawMessage
	}
	b := r.read("manifest")
	if err := json.Unmarshal(b, &e); err != nil || e.Magic != "weft manifest" || e.Digest != digest(e.Body) {
		r.t.Fatal("manifest", err, e.Magic)
	}
	if e.Version >= 2 && !bytes.Equal(b, r.read("manifest.copy")) {
		r.t.Error("the copy of the manifest is another one")
	}
	if err := json.Unmarshal(e.Body, &r.man); err != nil {
		r.t.Fatal(err)
	}
	for _, table := range r.man.Tables {
		for i := range table.Spans {
			r.spans[table.Name] = append(r.spans[table.Name], &table.Spans[i])
		}
	}
}

type frame struct {
	kind    byte
	at, end int64
	payload []byte
}

// frames: journal.md, "A segment".
func (r *reader) frames(b []byte) []frame {
	var out []frame
	le := binary.LittleEndian
	if string(b[:8]) != "WEFTJRN\n" || le.Uint32(b[8:]) < 1 || le.Uint32(b[12:]) != 0 {
		r.t.Fatalf("% x", b[:16])
	}
	for at := int64(16); at < int64(len(b)); {
		f := frame{kind: b[at+4], at: at}
		n := int64(le.Uint32(b[at:]))
		f.payload = b[at+16 : at+16+n]
		crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		crc.Write(b[at : at+8])
		crc.Write(f.payload)
		if crc.Sum32() != le.Uint32(b[at+8:]) {
			r.t.Fatal("checksum at ", at)
		}
		f.end = (at + 16 + n + 7) &^ 7
		at = f.end
		out = append(out, f)
	}
	return out
}

// journal: journal.md, from the first segment to the mark.
func (r *reader) journal() {
	mark := r.read("journal/mark")
	if string(mark[:8]) != "WEFTMRK\n" || len(mark) != 80 {
		r.t.Fatal("mark")
	}
	var counter, length uint64
	var segment uint32
	for _, s := range [][]byte{mark[16:48], mark[48:80]} {
		if c := binary.LittleEndian.Uint64(s); c > counter && crc32.Checksum(s[:28], crc32.MakeTable(crc32.Castagnoli)) == binary.LittleEndian.Uint32(s[28:]) {
			counter, segment, length = c, binary.LittleEndian.Uint32(s[8:]), binary.LittleEndian.Uint64(s[16:])
		}
	}
	previous := strings.Repeat("0", 64)
	var head int64
	for n := uint32(1); n <= segment; n++ {
		b := r.read(fmt.Sprintf("journal/%06d.weftj", n))
		if n == segment {
			b = b[:length]
		}
		schemas := map[string][]byte{}
		var blocks [][]byte
		for i, f := range r.frames(b) {
			switch f.kind {
			case 'g':
				var info struct {
					Segment, First int64
					Previous       string
				}
				if err := json.Unmarshal(f.payload, &info); err != nil || i != 0 || info.Segment != int64(n) || info.First != head+1 || info.Previous != previous {
					r.t.Fatal("segment", n, string(f.payload))
				}
			case 's':
				schemas[digest(f.payload)] = f.payload
			case 'b':
				blocks = append(blocks, f.payload)
			case 'h':
				var h header
				if err := json.Unmarshal(f.payload, &h); err != nil || h.Seq != head+1 || h.Previous != previous {
					r.t.Fatal("header", string(f.payload))
				}
				head, previous = h.Seq, digest(f.payload)
				r.commits[head] = previous
				cp := r.man.Checkpoint
				if head == cp.Seq && (previous != cp.Hash || int(n) != cp.Segment || f.at != cp.Header || f.end != cp.End) {
					r.t.Fatal("the manifest names another place", cp)
				}
				r.commit(h, schemas, blocks)
				blocks = nil
			default:
				r.t.Fatalf("kind %q", f.kind)
			}
		}
	}
}

// commit holds the blocks against the header and keeps the rows of what is behind
// the checkpoint: they are the tail.
func (r *reader) commit(h header, schemas map[string][]byte, blocks [][]byte) {
	for _, table := range h.Tables {
		mine := blocks[:len(table.Blocks)]
		blocks = blocks[len(table.Blocks):]
		var rows []change
		for i, b := range mine {
			if digest(b) != table.Blocks[i] || hex.EncodeToString(b[32:64]) != table.Schema {
				r.t.Fatal("block", i, "of", h.Seq)
			}
			rows = append(rows, r.block(schemas[table.Schema], b[64:], h.Seq, table.Op == "merge")...)
		}
		if h.Seq <= r.man.Checkpoint.Seq {
			continue
		}
		spans := r.spans[table.Table]
		if len(spans) == 0 || table.Op == "replace" {
			spans = append(spans, &span{From: h.Seq, Key: table.Key})
			r.spans[table.Table] = spans
		}
		s := spans[len(spans)-1]
		s.tail = append(s.tail, rows...)
		for _, f := range table.Files {
			f.First, f.Last, f.Form = h.Seq, h.Seq, "rows"
			if table.Op == "merge" {
				f.Form, f.Merges = "merge", h.Seq
			}
			s.later = append(s.later, f)
		}
	}
	if len(blocks) > 0 {
		r.t.Fatal("blocks that", h.Seq, "does not name")
	}
}

// block reads an Arrow record batch message behind its schema message; a merge has
// the column _op before the schema's.
func (r *reader) block(schema, batch []byte, seq int64, merge bool) []change {
	if merge {
		rd, err := ipc.NewReader(bytes.NewReader(schema))
		if err != nil {
			r.t.Fatal(err)
		}
		with := arrow.NewSchema(append([]arrow.Field{{Name: "_op", Type: arrow.BinaryTypes.String, Nullable: true}}, rd.Schema().Fields()...), nil)
		rd.Release()
		var b bytes.Buffer
		p := ipc.GetSchemaPayload(with, memory.DefaultAllocator)
		if _, err := p.WritePayload(&b); err != nil {
			r.t.Fatal(err)
		}
		schema = b.Bytes()
	}
	rd, err := ipc.NewReader(bytes.NewReader(slices.Concat(schema, batch)))
	if err != nil {
		r.t.Fatal(err)
	}
	defer rd.Release()
	if !rd.Next() {
		r.t.Fatal(rd.Err())
	}
	return rowsOf(rd.RecordBatch(), seq)
}

// rowsOf takes rows apart: _op, _seq and _seq_to are not the table's.
func rowsOf(rec arrow.RecordBatch, seq int64) []change {
	var out []change
	for i := range int(rec.NumRows()) {
		c := change{seq: seq, to: forever, op: "i"}
		for k, f := range rec.Schema().Fields() {
			switch text := rec.Column(k).ValueStr(i); f.Name {
			case "_op":
				c.op = text
			case "_seq":
				c.seq = rec.Column(k).(*array.Int64).Value(i)
			case "_seq_to":
				c.to = rec.Column(k).(*array.Int64).Value(i)
			default:
				c.cells = append(c.cells, text)
			}
		}
		out = append(out, c)
	}
	return out
}

// file reads a data file: files.md.
func (r *reader) file(f dataFile) []change {
	b := r.read(filepath.Join("files", f.Name))
	if digest(b) != f.Hash || int64(len(b)) != f.Bytes {
		r.t.Fatal("digest of", f.Name)
	}
	p, err := file.NewParquetReader(bytes.NewReader(b))
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := pqarrow.NewFileReader(p, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		r.t.Fatal(err)
	}
	table, err := a.ReadTable(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	defer table.Release()
	var out []change
	for rd := array.NewTableReader(table, -1); rd.Next(); {
		out = append(out, rowsOf(rd.RecordBatch(), f.First)...)
	}
	return out
}

// level is a file or the tail: its rows, and its first change that is no append.
type level struct {
	first, merges int64
	rows          []change
}

// at reads a cut as files.md says; nil, false where the table is not there yet.
func (r *reader) at(name string, cut int64) ([]string, bool) {
	var s *span
	for _, candidate := range r.spans[name] {
		if candidate.From <= cut {
			s = candidate
		}
	}
	if s == nil {
		return nil, false
	}
	var levels []level
	for _, f := range slices.Concat(s.Files, s.later) {
		levels = append(levels, level{f.First, f.Merges, r.file(f)})
	}
	// The tail's rows stand between the later files; by row each is a level.
	for _, c := range s.tail {
		m := int64(0)
		if c.op != "i" || len(s.Key) > 0 {
			m = c.seq
		}
		levels = append(levels, level{c.seq, m, []change{c}})
	}
	slices.SortStableFunc(levels, func(a, b level) int { return int(a.first - b.first) })
	levels = slices.DeleteFunc(levels, func(l level) bool { return l.first > cut })
	base := 0
	for base < len(levels) && (levels[base].merges == 0 || levels[base].merges > cut) {
		base++
	}
	var rows []string
	gone := map[string]bool{} // keys of the levels behind
	for i := len(levels) - 1; i >= 0; i-- {
		var mine []string
		for _, c := range levels[i].rows {
			if c.seq > cut || c.op == "b" {
				continue
			}
			key := c.cells[0]
			if len(s.Key) == 0 || !gone[key] && (i < base || c.to > cut && c.op != "d") {
				rows = append(rows, strings.Join(c.cells, "|"))
			}
			if i >= base {
				mine = append(mine, key)
			}
		}
		for _, key := range mine {
			gone[key] = true
		}
	}
	slices.Sort(rows)
	return rows, true
}

// compare holds what was read against the text that was written with the folder.
func (r *reader) compare(text string) {
	checked := 0
	for _, section := range strings.Split(text, "\n#")[1:] {
		lines := strings.Split(strings.TrimSpace(section), "\n")
		var seq int64
		var hash string
		if _, err := fmt.Sscanf(lines[0], "%d %s", &seq, &hash); err != nil {
			r.t.Fatal(err)
		}
		if r.commits[seq] != hash {
			r.t.Errorf("#%d is %s, want %s", seq, r.commits[seq], hash)
		}
		for _, name := range []string{"people", "events"} {
			var want []string
			in, there := false, false
			for _, l := range lines {
				if strings.HasPrefix(l, "  table ") {
					in = strings.HasPrefix(l, "  table "+name+",")
					there = there || in
				} else if in {
					want = append(want, strings.TrimSpace(l))
				}
			}
			got, ok := r.at(name, seq)
			if ok != there || !slices.Equal(got, want) {
				r.t.Errorf("%s at #%d is %v, want %v", name, seq, got, want)
			}
			checked += len(want)
		}
	}
	if checked < 100 {
		r.t.Errorf("only %d rows were compared", checked)
	}
}
