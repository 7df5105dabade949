package node

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/federate"
	"weft/serve"
)

// What nodes say to each other to answer one question together: docs/format/parts.md.

// Bounds of what another node says.
const (
	maxPartHead   = 2 << 20   // bytes of JSON
	maxTables     = 64        // that come with one part
	maxTableBytes = 256 << 20 // of all of them
)

// partRequest is one part of a question, as JSON. With Points set nothing is asked but
// the states of these products.
type partRequest struct {
	SQL      string        `json:"sql,omitempty"`
	Points   []weft.Name   `json:"points,omitempty"`
	Subject  partSubject   `json:"subject"`
	At       *time.Time    `json:"at,omitempty"`
	Cut      []partRef     `json:"cut,omitempty"`
	Deadline time.Duration `json:"deadline,omitempty"` // nanoseconds that are left
	Memory   int64         `json:"memory,omitempty"`
	Threads  int           `json:"threads,omitempty"`
	AnyOrder bool          `json:"anyOrder,omitempty"` // of the rows
	Nonce    weft.Hash     `json:"nonce,omitzero"`
	Quote    bool          `json:"quote,omitempty"` // only the price is asked
	Shards   []partShard   `json:"shards,omitempty"`
	Keys     []string      `json:"keys,omitempty"`   // names of the tables that follow
	Guests   []string      `json:"guests,omitempty"` // and of those that follow them
}

// partShard says of a table that it is a shard, which the asker counts on.
type partShard struct {
	Product weft.Name  `json:"product"`
	Table   string     `json:"table"`
	Column  string     `json:"column"`
	Shard   weft.Shard `json:"shard"`
}

// partSubject is who asks, as the asking node says. Its domains count as far as the
// node may speak for them.
type partSubject struct {
	Kind    weft.SubjectKind `json:"kind"`
	ID      string           `json:"id"`
	Purpose string           `json:"purpose,omitempty"`
	Domains []string         `json:"domains,omitempty"`
}

// partRef is a state that a product is to be read at.
type partRef struct {
	Product     weft.Name `json:"product"`
	Incarnation uint32    `json:"incarnation"`
	Seq         weft.Seq  `json:"seq"`
	Hash        []byte    `json:"hash,omitempty"` // its beginning
}

// partHead comes before the rows of a part.
type partHead struct {
	Cut  weft.Cut `json:"cut"`
	Held int64    `json:"held,omitempty"`
	// Quote is the price, where only that was asked; then nothing follows.
	Quote *serve.Quote `json:"quote,omitempty"`
}

// partEnd comes after them.
type partEnd struct {
	Rows    int64           `json:"rows"`
	Fault   *serve.Problem  `json:"fault,omitempty"`
	Receipt json.RawMessage `json:"receipt,omitempty"`
}

// writeSection writes bytes behind their length.
func writeSection(w io.Writer, b []byte) error {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
	if _, err := w.Write(n[:]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readAhead is for how much of a section memory is taken before its bytes come.
const readAhead = 4 << 20

// readSection reads what writeSection wrote, taking memory as its bytes come past readAhead.
func readSection(r io.Reader, most int64) ([]byte, error) {
	var n [8]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, engine.ErrNotWhole
	}
	size := binary.LittleEndian.Uint64(n[:])
	if size > uint64(most) {
		return nil, fmt.Errorf("a section of %d bytes is too large", size)
	}
	var b bytes.Buffer
	b.Grow(int(min(size, readAhead)) + bytes.MinRead) // that much is what reading asks for at the end
	if _, err := io.CopyN(&b, r, int64(size)); err != nil {
		return nil, engine.ErrNotWhole
	}
	return b.Bytes(), nil
}

// enclosed are the tables that come with a part.
type enclosed struct{ keys, guests []federate.Enclosed }

func (e *enclosed) drop() {
	for _, k := range slices.Concat(e.keys, e.guests) {
		for _, b := range k.Batches {
			b.Release()
		}
	}
}

// encodePart writes a request: its JSON, and the rows of each table that comes with it.
func encodePart(p partRequest, with enclosed) ([]byte, error) {
	var out bytes.Buffer
	for _, k := range with.keys {
		p.Keys = append(p.Keys, k.Name)
	}
	for _, g := range with.guests {
		p.Guests = append(p.Guests, g.Name)
	}
	head, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	tables := slices.Concat(with.keys, with.guests)
	out.Grow(min(len(head)+sizeOf(tables), readAhead))
	if err := writeSection(&out, head); err != nil {
		return nil, err
	}
	for _, k := range tables {
		at := out.Len()
		if err := writeSection(&out, nil); err != nil {
			return nil, err
		}
		w, err := engine.NewRowWriter(&out, k.Schema)
		if err != nil {
			return nil, err
		}
		for _, b := range k.Batches {
			if b.NumRows() == 0 {
				continue // which is none
			}
			if err := w.Write(b); err != nil {
				return nil, err
			}
		}
		if err := w.End(struct{}{}); err != nil {
			return nil, err
		}
		binary.LittleEndian.PutUint64(out.Bytes()[at:], uint64(out.Len()-at-8))
	}
	return out.Bytes(), nil
}

// sizeOf is about how many bytes tables take.
func sizeOf(tables []federate.Enclosed) int {
	size := bytes.MinRead
	for _, k := range tables {
		for _, b := range k.Batches {
			for _, c := range b.Columns() {
				size += int(c.Data().SizeInBytes())
			}
		}
	}
	return size
}

// decodePart reads a request from another node. What comes with it is to be dropped.
func decodePart(r io.Reader) (p partRequest, with enclosed, err error) {
	bad := func(err error) (partRequest, enclosed, error) {
		with.drop()
		return p, enclosed{}, weft.Errorf(weft.KindInvalid, "answer another node", "", "what it asks cannot be read: %w", err)
	}
	head, err := readSection(r, maxPartHead)
	if err != nil {
		return bad(err)
	}
	if err := json.Unmarshal(head, &p); err != nil {
		return bad(fmt.Errorf("it is no JSON"))
	}
	if n := len(p.Keys) + len(p.Guests); n > maxTables {
		return bad(fmt.Errorf("%d tables come with it", n))
	}
	left := int64(maxTableBytes)
	for i, name := range slices.Concat(p.Keys, p.Guests) {
		b, err := readSection(r, left)
		if err != nil {
			return bad(err)
		}
		left -= int64(len(b))
		t, err := decodeTable(name, b)
		if i < len(p.Keys) {
			with.keys = append(with.keys, t)
		} else {
			with.guests = append(with.guests, t)
		}
		if err != nil {
			return bad(err)
		}
	}
	if n, _ := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return bad(fmt.Errorf("something follows its end"))
	}
	return p, with, nil
}

func decodeTable(name string, b []byte) (k federate.Enclosed, err error) {
	k.Name = name
	rows, err := engine.NewRowReader(bytes.NewReader(b))
	if err != nil {
		return k, err
	}
	k.Schema = rows.Schema()
	for {
		rec, err := rows.Next()
		if err == io.EOF {
			return k, nil
		}
		if err != nil {
			return k, err
		}
		k.Batches = append(k.Batches, rec)
	}
}

// farRows are the rows of a part as they come. It implements array.RecordReader.
type farRows struct {
	in    *engine.RowReader
	watch *pacing
	cur   arrow.RecordBatch
	err   error
	rows  int64
	end   partEnd
	ended bool
}

// Schema is known before the first row.
func (q *farRows) Schema() *arrow.Schema { return q.in.Schema() }

// Next reads the next batch; it is valid until the next call.
func (q *farRows) Next() bool {
	q.forget()
	if q.err != nil || q.ended {
		return false
	}
	q.watch.resume()
	b, err := q.in.Next()
	q.watch.hold()
	switch {
	case err == io.EOF:
		q.ended = true
		if q.in.End(&q.end) != nil {
			q.err = partFault(engine.ErrNotWhole)
		} else if q.end.Fault != nil {
			q.err = problemOf(q.end.Fault)
		} else if q.end.Rows != q.rows {
			q.err = fmt.Errorf("%d rows come, and it says that there are %d", q.rows, q.end.Rows)
		}
		return false
	case err != nil:
		q.err = partFault(q.watch.why(err))
		return false
	}
	q.cur = b
	q.rows += b.NumRows()
	return true
}

func (q *farRows) forget() {
	if q.cur != nil {
		q.cur.Release()
		q.cur = nil
	}
}

// RecordBatch returns the current batch.
func (q *farRows) RecordBatch() arrow.RecordBatch { return q.cur }

// Record returns the current batch.
func (q *farRows) Record() arrow.RecordBatch { return q.cur }

// Err says why the rows ended early, nil when they did not.
func (q *farRows) Err() error { return q.err }

// Retain and Release do nothing: the answer's Close ends the stream.
func (q *farRows) Retain()  {}
func (q *farRows) Release() {}
