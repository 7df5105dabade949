package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/sign"
)

// FuzzSegment reads any bytes as a journal segment: it ends, with an error or
// without, and what it read as a commit is whole.
func FuzzSegment(f *testing.F) {
	message, _ := encodeSchema(people)
	id := sign.Digest(message)
	block, digest := encodeBlock(id, batch(row{1, "Ada"}))
	header, _ := sign.Canonical(weft.Header{Seq: 1, Tables: []weft.TableChange{{Table: "people", Op: weft.OpAppend, Schema: id, Blocks: []weft.Hash{digest}}}})
	b := appendFrame(appendFileHeader(nil, journalMagic), frameSegment, []byte(`{"segment":1,"first":1}`))
	f.Add(b)
	b = appendFrame(b, frameSchema, message)
	b = appendFrame(b, frameBlock, block)
	f.Add(appendFrame(b, frameHeader, header))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(memoryDir(t), segmentName(1))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j := &journal{fs: disk{}, dir: filepath.Dir(path)}
		seg, err := j.openSegment(1)
		if seg != nil {
			defer func() { _ = seg.close() }()
		}
		if err != nil {
			return
		}
		schemas := map[weft.Hash][]byte{}
		end, _ := seg.scan(seg.start, seg.end, true, func(c scanned) error {
			changes, err := changesOf(seg, c, schemas)
			if err == nil && len(changes) != len(c.header.Tables) {
				t.Fatal("a change is missing")
			}
			return nil
		})
		if end < seg.start || end > seg.end {
			t.Fatal(end)
		}
	})
}

// FuzzBlock decodes any bytes as a block of a known table. (A schema is only
// decoded when its digest is the one that the hashed header names.)
func FuzzBlock(f *testing.F) {
	message, _ := encodeSchema(people)
	block, _ := encodeBlock(sign.Digest(message), batch(row{1, "Ada"}, row{2, ""}))
	f.Add(block)
	f.Fuzz(func(t *testing.T, block []byte) {
		rec, err := decodeBlock(message, block)
		if err == nil && rec.NumRows() < 0 {
			t.Fatal("negative rows")
		}
	})
}

// FuzzHeader decodes any bytes as a commit's header.
func FuzzHeader(f *testing.F) {
	b, _ := sign.Canonical(weft.Header{ID: "x", Product: product, Seq: 7, Tables: []weft.TableChange{{Table: "t", Files: []weft.File{{Name: "a.parquet"}}}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var h weft.Header
		if decodeHeader(b, &h) != nil {
			return
		}
		for _, tc := range h.Tables {
			for _, file := range tc.Files {
				if filepath.Base(file.Name) != file.Name {
					t.Fatalf("%q leaves the folder", file.Name)
				}
			}
		}
	})
}

// FuzzManifest decodes any bytes as a manifest; what is taken is written the
// same again.
func FuzzManifest(f *testing.F) {
	message, _ := encodeSchema(people)
	b, _ := encodeManifest(&manifest{ID: "x", Product: product, Tables: []manifestTable{{
		Name: "people", Spans: []manifestSpan{{From: 1, Schema: message, Key: []string{"id"}, Files: []*dataFile{{Name: "a.parquet", Form: formRows}}}},
	}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest("manifest", b)
		if err != nil {
			return
		}
		if _, err := m.restore("manifest"); err != nil {
			return
		}
		again, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest("manifest", again); err != nil {
			t.Fatalf("%s\n%v", bytes.TrimSpace(again), err)
		}
	})
}

// encodeBlock is the payload of a block frame and its digest.
func encodeBlock(schema weft.Hash, rec arrow.RecordBatch) ([]byte, weft.Hash) {
	var f frameBuffer
	from, to, err := writeBlock(&f, schema, rec)
	if err != nil {
		panic(err)
	}
	return f.bytes[from:to], sign.Digest(f.bytes[from:to])
}
