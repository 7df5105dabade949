package engine

import (
	"bufio"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// handover is what goes to a worker with a job: memory files that are there
// already, and one of its own with everything else.
type handover struct {
	own   *os.File // the first one, where there is one
	spool *spool
	files []*os.File
	job   *job
}

// pack writes down where all that a statement reads lies.
func (h *handover) pack(st *Statement, j *job) error {
	if len(st.Sources) == 0 {
		return nil
	}
	h.job = j
	fd, err := unix.MemfdCreate("weft-sources", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	h.own = os.NewFile(uintptr(fd), "weft-sources")
	h.files = []*os.File{h.own}
	h.spool = &spool{w: bufio.NewWriterSize(h.own, 128<<10)}
	j.Files = []int64{0}
	for _, src := range st.Sources {
		if len(src.Sets) > 0 {
			if err := h.keys(src); err != nil {
				return fmt.Errorf("keys %s: %w", src.Name, err)
			}
			continue
		}
		sp, err := h.source(src)
		if err != nil {
			return fmt.Errorf("source %s: %w", src.Name, err)
		}
		j.Sources = append(j.Sources, sp)
	}
	if h.spool.pos == 0 { // an empty file cannot be mapped
		if _, err := h.spool.write(zeros[:8]); err != nil {
			return err
		}
	}
	j.Files[0] = h.spool.pos
	return h.spool.seal(h.own)
}

func (h *handover) source(src Source) (sp sourceSpan, err error) {
	sp = sourceSpan{Name: src.Name, Rows: src.Rows, Mark: src.Mark}
	for _, s := range src.Shared {
		at, err := h.place(s.file, s.size, nil)
		if err != nil {
			return sp, err
		}
		sp.Parts = append(sp.Parts, at)
	}
	if len(src.Batches) > 0 || len(src.Shared) == 0 {
		start := h.spool.pos
		if err := writeSource(h.spool, src); err != nil {
			return sp, err
		}
		sp.Parts = append(sp.Parts, piece{Offset: start, Length: h.spool.pos - start})
	}
	if src.Mark != "" {
		sp.Marks, err = h.spool.write(src.Marks)
	}
	return sp, err
}

func (h *handover) keys(src Source) error {
	ks := keysSpan{Name: src.Name}
	for _, s := range src.Sets {
		sp := setSpan{Path: s.Path, From: s.From, UpTo: s.UpTo}
		if s.Set != nil {
			mem := s.Set.mem
			if s.Set.file != nil {
				mem = nil // it may grow: it is read through its file
			}
			var err error
			sp.At, err = h.place(s.Set.file, int64(len(s.Set.mem)), mem)
			runtime.KeepAlive(s.Set) // its memory goes with it
			if err != nil {
				return err
			}
		}
		ks.Sets = append(ks.Sets, sp)
	}
	h.job.Keys = append(h.job.Keys, ks)
	return nil
}

// place hands a memory file over, or its bytes where there are too many files
// or there is none.
func (h *handover) place(f *os.File, size int64, mem []byte) (piece, error) {
	if f != nil {
		for i, g := range h.files {
			if f == g {
				return piece{File: i, Length: size}, nil
			}
		}
		if len(h.files) < maxFiles {
			h.files = append(h.files, f)
			h.job.Files = append(h.job.Files, size)
			return piece{File: len(h.files) - 1, Length: size}, nil
		}
	}
	if mem == nil {
		mem = make([]byte, size)
		if _, err := f.ReadAt(mem, 0); err != nil {
			return piece{}, err
		}
	}
	return h.spool.write(mem)
}

func (h *handover) fds() []int {
	var fds []int
	for _, f := range h.files {
		fds = append(fds, int(f.Fd()))
	}
	return fds
}

func (h *handover) close() {
	if h.own != nil {
		_ = h.own.Close()
	}
}
