package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"golang.org/x/sys/unix"

	"weft"
)

// LandingRoom is what the landings of one question may keep together. Safe for
// concurrent use.
type LandingRoom struct {
	dir          string
	memory, most int64
	held, bytes  atomic.Int64
}

// NewLandingRoom gives so many bytes of memory, and past them files in dir, which must be
// there; so many bytes in all, or any number where most is 0.
func NewLandingRoom(dir string, memory, most int64) *LandingRoom {
	return &LandingRoom{dir: dir, memory: memory, most: most}
}

// Landing takes batches as they come and lays them out for workers: in memory at
// first, and where the room has no more of it in a file that has no name. One goroutine
// uses it.
type Landing struct {
	room  *LandingRoom
	file  *os.File
	spool *spool
	out   *ipc.Writer
	disk  bool
	rows  int64
	known int64 // bytes that the room has been told of
}

// NewLanding begins with the schema of all that comes.
func NewLanding(sc *arrow.Schema, room *LandingRoom) (*Landing, error) {
	fd, err := unix.MemfdCreate("weft-landing", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	l := &Landing{room: room, file: os.NewFile(uintptr(fd), "weft-landing")}
	l.spool = &spool{w: bufio.NewWriterSize(l.file, 128<<10)}
	l.out = ipc.NewWriterWithPayloadWriter(l.spool, ipc.WithSchema(sc))
	return l, nil
}

// Add lays out a batch of the schema, which stays the caller's. An error of KindLimit says
// that the room is full.
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
	more := l.spool.pos - l.known
	l.known = l.spool.pos
	if all := l.room.bytes.Add(more); l.room.most > 0 && all > l.room.most {
		return weft.Errorf(weft.KindLimit, "read what other nodes send", "", "it is more than the %d MB that one question may keep", l.room.most>>20).
			WithHint("narrow the question down, or raise the room for queries to spill")
	}
	if !l.disk && l.room.held.Add(more) > l.room.memory {
		return l.toDisk()
	}
	return nil
}

// toDisk moves what has come to a file that goes when it is closed.
func (l *Landing) toDisk() error {
	if err := l.spool.w.Flush(); err != nil {
		return err
	}
	f, err := os.CreateTemp(l.room.dir, "landing-*")
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
	l.room.held.Add(-l.known)
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

// Drop gives up what has come. Idempotent.
func (l *Landing) Drop() {
	_ = l.file.Close()
	l.room.bytes.Add(-l.known)
	l.room.held.Add(-l.Held())
	l.known = 0
}

// Held is how much of it is in memory.
func (l *Landing) Held() int64 {
	if l.disk {
		return 0
	}
	return l.known
}
