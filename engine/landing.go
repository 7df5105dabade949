package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"golang.org/x/sys/unix"

	"weft"
)

// Landing takes batches as they come and lays them out for workers: in memory at
// first, and past a bound in a file that has no name. One goroutine uses it.
type Landing struct {
	cfg   LandingConfig
	file  *os.File
	spool *spool
	out   *ipc.Writer
	disk  bool
	rows  int64
}

// LandingConfig bounds a Landing.
type LandingConfig struct {
	Dir    string // where the file is made; it must be there
	Memory int64  // bytes held in memory
	Most   int64  // bytes in all; 0 for no bound
}

// NewLanding begins with the schema of all that comes.
func NewLanding(sc *arrow.Schema, cfg LandingConfig) (*Landing, error) {
	fd, err := unix.MemfdCreate("weft-landing", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	l := &Landing{cfg: cfg, file: os.NewFile(uintptr(fd), "weft-landing")}
	l.spool = &spool{w: bufio.NewWriterSize(l.file, 128<<10)}
	l.out = ipc.NewWriterWithPayloadWriter(l.spool, ipc.WithSchema(sc))
	return l, nil
}

// Add lays out a batch of the schema, which stays the caller's.
func (l *Landing) Add(b arrow.RecordBatch) error {
	whole, err := fromZero(b)
	if err != nil {
		return err
	}
	defer whole.Release()
	if err := l.out.Write(whole); err != nil {
		return err
	}
	l.rows += b.NumRows()
	if l.cfg.Most > 0 && l.spool.pos > l.cfg.Most {
		return weft.Errorf(weft.KindLimit, "read what other nodes send", "", "it is more than the %d MB that one question may keep", l.cfg.Most>>20).
			WithHint("narrow the question down, or raise the room for queries to spill")
	}
	if !l.disk && l.spool.pos > l.cfg.Memory {
		return l.toDisk()
	}
	return nil
}

// toDisk moves what has come to a file that goes when it is closed.
func (l *Landing) toDisk() error {
	if err := l.spool.w.Flush(); err != nil {
		return err
	}
	f, err := os.CreateTemp(l.cfg.Dir, "landing-*")
	if err != nil {
		return err
	}
	_ = os.Remove(f.Name())
	if _, err = l.file.Seek(0, io.SeekStart); err == nil {
		_, err = io.Copy(f, l.file)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	_ = l.file.Close()
	l.file, l.disk = f, true
	l.spool.w.Reset(f)
	return nil
}

// Rows and Bytes are how much has come.
func (l *Landing) Rows() int64  { return l.rows }
func (l *Landing) Bytes() int64 { return l.spool.pos }

// Done ends the landing; what it gives is read with the schema it began with.
func (l *Landing) Done() (*Shared, error) {
	err := l.out.Close()
	if err == nil && l.disk {
		err = l.spool.w.Flush()
	} else if err == nil {
		err = l.spool.seal(l.file)
	}
	if err != nil {
		_ = l.file.Close()
		return nil, err
	}
	return &Shared{file: l.file, size: l.spool.pos, rows: l.rows}, nil
}

// Drop gives up what has come.
func (l *Landing) Drop() { _ = l.file.Close() }

// Held is how much of it is in memory.
func (l *Landing) Held() int64 {
	if l.disk {
		return 0
	}
	return l.spool.pos
}
