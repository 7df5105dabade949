package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"weft"
)

// Finding is one fault of a data folder, or a note on it.
type Finding struct {
	File        string `json:"file"`   // relative to the folder
	Offset      int64  `json:"offset"` // of the byte where it starts
	Message     string `json:"message"`
	Consequence string `json:"consequence"`    // what cannot be read or done because of it
	Note        bool   `json:"note,omitempty"` // no fault: something is left over, and all is as it was written
}

// String gives one line for people.
func (f Finding) String() string {
	return fmt.Sprintf("%s at byte %d: %s (%s)", f.File, f.Offset, f.Message, f.Consequence)
}

// maxFindings bounds what is reported of one folder.
const maxFindings = 1000

// Report is what the check of a folder gave.
type Report struct {
	ID       string // as the manifest says, empty where it cannot be read
	Product  weft.Name
	Findings []Finding
	Files    int
	Bytes    int64
}

// Faults leaves out the notes.
func (r Report) Faults() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Note })
}

// Verify checks one product's folder and gives its faults: see VerifyFolder.
func Verify(dir string) []Finding {
	r := VerifyFolder(context.Background(), dir)
	if f := r.Faults(); len(f) > 0 {
		return f
	}
	return nil
}

// VerifyFolder checks one product's folder without opening it as a store: every
// frame and its checksum, the chain of headers, the digest of every block and
// data file, the manifest and the mark, and what else lies there. It changes
// nothing and needs no engine; without faults all of it is as it was written.
// The folder must not be in use. It uses all processors, and ends early, with
// what it has found, when ctx ends.
func VerifyFolder(ctx context.Context, dir string) Report {
	v := &verifier{ctx: ctx, dir: dir, fs: disk{}, named: map[string]bool{}, slots: make(chan struct{}, max(2, runtime.NumCPU()))}
	if lock, err := lockFolder(dir); err == nil {
		defer func() { _ = lock.Close() }()
	} else if weft.KindOf(err) == weft.KindConflict {
		v.add("lock", 0, "another process has the folder open", "what it writes meanwhile may look like a fault; stop it first")
		return Report{Findings: v.found}
	}
	man := v.manifest()
	if man != nil {
		v.files(man)
	}
	v.journal(man)
	v.holds()
	for _, f := range v.bulk {
		v.file(f, fmt.Sprintf("the rows of commit %s cannot be read", f.First))
	}
	v.keyIndex()
	v.hashing.Wait()
	files, size := v.others()
	slices.SortStableFunc(v.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset))
	})
	r := Report{Findings: v.found, Files: files, Bytes: size}
	if man != nil {
		r.ID, r.Product = man.ID, man.Product
	}
	return r
}

type verifier struct {
	ctx     context.Context
	dir     string
	fs      fileSystem
	hashing sync.WaitGroup
	slots   chan struct{}   // files that are hashed at once
	named   map[string]bool // paths of the files that something names
	// bulk are the files that the commits behind the checkpoint name.
	bulk []*dataFile

	mu    sync.Mutex // guards found
	found []Finding
}

func (v *verifier) add(file string, offset int64, message, consequence string) {
	v.put(Finding{File: file, Offset: offset, Message: message, Consequence: consequence})
}

func (v *verifier) put(f Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.found) < maxFindings {
		v.found = append(v.found, f)
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
	case errors.As(err, &e) && e.Message != "":
		v.add(file, offset, e.Message, consequence)
	case errors.As(err, &e) && e.Cause != nil:
		v.add(file, offset, rootCause(e).Error(), consequence)
	default:
		v.add(file, offset, err.Error(), consequence)
	}
}

// rootCause is what the system said, without the path that it said it of.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// manifest checks the manifest and its copy, and gives the one that a store would
// open with.
func (v *verifier) manifest() *manifest {
	m, b, damaged, err := findManifest(v.fs, v.dir)
	if err != nil {
		v.fail(manifestFile, 0, err, "the product cannot be opened")
		return nil
	}
	if damaged != nil {
		v.fail(manifestFile, 0, damaged, "none: its copy is read, and the manifest written anew when the product is opened next")
		return m
	}
	if m.version == 1 {
		return m // it had no copy
	}
	const consequence = "none while the manifest is whole; it is written anew when the product is opened next"
	file := filepath.Join(v.dir, manifestCopy)
	again, err := readWhole(v.fs, file, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.add(manifestCopy, 0, "the file is missing", consequence)
	case err != nil:
		v.fail(manifestCopy, 0, err, consequence)
	case !bytes.Equal(again, b):
		if _, err := decodeManifest(file, again); err != nil {
			v.fail(manifestCopy, 0, err, consequence)
		} else {
			v.put(Finding{File: manifestCopy, Message: "it is an older manifest", Consequence: consequence, Note: true})
		}
	}
	return m
}

// journal checks all segments as one chain.
func (v *verifier) journal(man *manifest) {
	j := &journal{fs: v.fs, dir: filepath.Join(v.dir, "journal"), readOnly: true}
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
	if _, err := checkFileHeader(rel, markMagic, b); err != nil {
		v.fail(rel, 0, err, "the newest state cannot be read and nothing be committed; states up to the last commit that is there can be read by their number")
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

// files checks every data file that the manifest names.
func (v *verifier) files(man *manifest) {
	for _, t := range man.Tables {
		for i, s := range t.Spans {
			for _, f := range s.Files {
				text := fmt.Sprintf("table %s cannot be read from %s on", t.Name, max(s.From, f.First))
				if i+1 < len(t.Spans) {
					text = fmt.Sprintf("table %s cannot be read from %s to before %s", t.Name, max(s.From, f.First), t.Spans[i+1].From)
				}
				v.file(f, text)
			}
		}
	}
	for _, f := range man.History {
		v.file(f, fmt.Sprintf("commit %s cannot be followed; every table is readable", f.First))
	}
}

// file checks a data file, beside others. One that several tables are read from
// is checked once.
func (v *verifier) file(f *dataFile, consequence string) {
	for _, p := range f.parts() {
		rel := filepath.Join("files", p.name)
		if v.named[rel] {
			continue
		}
		v.named[rel] = true
		v.hashing.Go(func() {
			v.slots <- struct{}{}
			defer func() { <-v.slots }()
			v.part(p, rel, consequence)
		})
	}
	if f.hasKeys() {
		rel := filepath.Join("files", f.Name+keysSuffix)
		v.named[rel] = true
		v.keys(rel, f)
	}
}

func (v *verifier) part(p filePart, rel, consequence string) {
	if v.ctx.Err() != nil {
		return
	}
	h, err := v.fs.Open(filepath.Join(v.dir, rel), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		v.add(rel, 0, "the file is missing", consequence)
		return
	}
	if err != nil {
		v.fail(rel, 0, err, consequence)
		return
	}
	defer func() { _ = h.Close() }()
	digest, n, err := digestFile(h, p.bytes+1, v.ctx.Done())
	switch {
	case errors.Is(err, errEnded):
	case err != nil:
		v.fail(rel, 0, err, consequence)
	default:
		if e := p.compare(rel, digest, n); e != nil {
			v.fail(rel, 0, e, consequence)
		}
	}
}
