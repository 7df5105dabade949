package files

import (
	"bufio"
	"io"
	"strconv"
)

// lineCounter finds the lines of a file at rising offsets. The engine itself
// counts records, and a record may span lines.
type lineCounter struct {
	path   string
	in     io.Closer
	r      *bufio.Reader
	at     int64 // bytes that were read
	line   int64 // lines that ended before at
	last   byte
	broken bool
}

// find returns the number of the line that begins at a 1-based offset, or said
// where no line begins there: in an encoding whose bytes are not the engine's.
func (c *lineCounter) find(f *file, offset int64, said string) string {
	if c.path != f.path {
		c.close()
		*c = lineCounter{path: f.path}
		in, err := f.open()
		if c.broken = err != nil; !c.broken {
			c.in, c.r = in, bufio.NewReaderSize(in, 1<<20)
		}
	}
	for !c.broken && c.at < offset-1 {
		b, err := c.r.ReadByte()
		if err != nil {
			c.broken = true
			break
		}
		if c.at++; b == '\n' && c.last != '\r' || b == '\r' {
			c.line++
		}
		c.last = b
	}
	if c.broken || c.at != offset-1 || c.at > 0 && c.last != '\n' && c.last != '\r' {
		return said
	}
	return strconv.FormatInt(c.line+1, 10)
}

func (c *lineCounter) close() {
	if c.in != nil {
		c.in.Close()
	}
}
