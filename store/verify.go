package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"weft"
	"weft/sign"
)

// Finding is one fault of a data folder.
type Finding struct {
	File        string `json:"file"`   // relative to the folder
	Offset      int64  `json:"offset"` // of the byte where it starts
	Message     string `json:"message"`
	Consequence string `json:"consequence"` // what cannot be read or done because of it
}

// String gives one line for people.
func (f Finding) String() string {
	return fmt.Sprintf("%s at byte %d: %s (%s)", f.File, f.Offset, f.Message, f.Consequence)
}

// maxFindings bounds what Verify reports of one folder.
const maxFindings = 1000

// Verify checks one product's folder without opening it as a store: every frame
// and its checksum, the chain of headers, the digest of every block and data
// file, the manifest and the mark. It changes nothing and needs no engine; none
// means that all of it is as it was written. The folder must not be in use.
func Verify(dir string) []Finding {
	v := &verifier{dir: dir, fs: disk{}}
	if lock, err := lockFolder(dir); err == nil {
		defer func() { _ = lock.Close() }()
	} else if weft.KindOf(err) == weft.KindConflict {
		v.add("lock", 0, "another process has the folder open", "what it writes meanwhile may look like a fault; stop it first")
		return v.found
	}
	man := v.manifest()
	v.journal(man)
	if man != nil {
		v.files(man)
	}
	return v.found
}

type verifier struct {
	dir   string
	fs    fileSystem
	found []Finding
	// bulk are the files that the commits behind the checkpoint name.
	bulk []*dataFile
}

func (v *verifier) add(file string, offset int64, message, consequence string) {
	if len(v.found) < maxFindings {
		v.found = append(v.found, Finding{file, offset, message, consequence})
	}
}

// fail adds an error, which may know its place better.
func (v *verifier) fail(file string, offset int64, err error, consequence string) {
	var bad *badFrame
	var e *weft.Error
	var at place
	if errors.As(err, &at) {
		offset = int64(at)
	}
	switch {
	case errors.As(err, &bad):
		v.add(file, bad.offset, bad.why, consequence)
	case errors.As(err, &e):
		v.add(file, offset, e.Message, consequence)
	default:
		v.add(file, offset, err.Error(), consequence)
	}
}

func (v *verifier) manifest() *manifest {
	path := filepath.Join(v.dir, manifestFile)
	b, err := readWhole(v.fs, path, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		v.add(manifestFile, 0, "the file is missing", "the product cannot be opened")
		return nil
	}
	if err != nil {
		v.fail(manifestFile, 0, err, "the product cannot be opened")
		return nil
	}
	m, err := decodeManifest(path, b)
	if err == nil {
		_, err = m.restore(path)
	}
	if err != nil {
		v.fail(manifestFile, 0, err, "the product cannot be opened")
		return nil
	}
	return m
}

// journal checks all segments as one chain.
func (v *verifier) journal(man *manifest) {
	j := &journal{fs: v.fs, dir: filepath.Join(v.dir, "journal")}
	numbers, err := j.list()
	if err != nil {
		v.fail("journal", 0, err, "the commits cannot be read")
		return
	}
	markSegment, markLength := v.mark()
	c := &chain{v: v, man: man}
	var segs []*segment
	for _, n := range numbers {
		rel := filepath.Join("journal", segmentName(n))
		seg, err := j.openSegment(n)
		if seg != nil {
			defer func() { _ = seg.close() }()
		}
		if err != nil {
			v.fail(rel, 0, err, "the commits in it cannot be read")
			c.broken = true
			continue
		}
		segs = append(segs, seg)
	}
	for i, seg := range segs {
		if i+1 < len(segs) && segs[i+1].info.Segment == seg.info.Segment+1 {
			if next := segs[i+1].info; next.Length > seg.end {
				v.add(c.rel(seg), seg.end, fmt.Sprintf("the file ends before byte %d, where its last commit ended", next.Length), "the commits at its end are lost")
			} else {
				seg.end = next.Length
			}
		}
		last := i == len(segs)-1
		acknowledged := int64(0)
		switch {
		case seg.info.Segment < markSegment || !last:
			acknowledged = seg.end
		case seg.info.Segment == markSegment:
			acknowledged = markLength
		}
		c.segment(seg, acknowledged)
	}
	c.end(markSegment, segs)
}

func (v *verifier) mark() (uint32, int64) {
	const rel = "journal/mark"
	b, err := readWhole(v.fs, filepath.Join(v.dir, rel), 1<<16)
	if err != nil || len(b) < markSize {
		v.add(rel, 0, "the file is missing or not whole", "a damaged end of the journal cannot be told from an unfinished write")
		return 0, 0
	}
	if err := checkFileHeader(rel, markMagic, b); err != nil {
		v.fail(rel, 0, err, "the product cannot be opened")
		return 0, 0
	}
	counter, segment, length := readMark(b)
	for i := range 2 {
		s := b[fileHeaderSize+i*markSlot:][:markSlot]
		if !bytes.Equal(s, make([]byte, markSlot)) && frameCRC(s[:28], nil) != binary.LittleEndian.Uint32(s[28:]) {
			v.add(rel, int64(fileHeaderSize+i*markSlot), "the checksum of the slot does not hold", "none while the other slot is whole; the next commit writes it again")
		}
	}
	if counter == 0 {
		return 0, 0
	}
	return segment, length
}

// files checks every data file that is named.
func (v *verifier) files(man *manifest) {
	seen := map[string]bool{}
	check := func(f *dataFile, what string) {
		if !seen[f.Name] {
			seen[f.Name] = true
			v.file(f, what)
		}
	}
	for _, t := range man.Tables {
		for _, s := range t.Spans {
			for _, f := range s.Files {
				check(f, fmt.Sprintf("table %s cannot be read from %s on", t.Name, s.From))
			}
		}
	}
	for _, f := range man.History {
		check(f, fmt.Sprintf("commit %s cannot be followed; every table is readable", f.First))
	}
	for _, f := range v.bulk {
		check(f, fmt.Sprintf("the rows of commit %s cannot be read", f.First))
	}
}

func (v *verifier) file(f *dataFile, consequence string) {
	rel := filepath.Join("files", f.Name)
	h, err := os.Open(filepath.Join(v.dir, rel))
	if errors.Is(err, fs.ErrNotExist) {
		v.add(rel, 0, "the file is missing", consequence)
		return
	}
	if err != nil {
		v.fail(rel, 0, err, consequence)
		return
	}
	defer func() { _ = h.Close() }()
	digest, n, err := sign.DigestReader(io.LimitReader(h, f.Bytes+1))
	switch {
	case err != nil:
		v.fail(rel, 0, err, consequence)
	case n != f.Bytes:
		v.add(rel, min(n, f.Bytes), fmt.Sprintf("the file does not have the %d bytes that were written", f.Bytes), consequence)
	case digest != f.Hash:
		v.add(rel, 0, "the digest of the file does not hold", consequence)
	}
	if f.hasKeys() {
		v.keys(rel+keysSuffix, f)
	}
}
