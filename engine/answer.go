package engine

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// query streams a statement's rows to the node.
func (k *worker) query(j job, out *outcome) (err error) {
	began := time.Now()
	st, err := k.prepared(j.Text)
	if err != nil && j.Else != "" {
		st, err = k.prepared(j.Else)
	}
	if err != nil {
		return err
	}
	s, err := startPlan(st, true)
	if err != nil {
		return err
	}
	defer func() {
		s.close()
		if err != nil || time.Since(began) > planTime {
			k.plan.drop()
		}
	}()
	sc, err := encodeSchema(s.schema())
	if err != nil {
		return err
	}
	if err := k.wire.hold(frameSchema, sc); err != nil {
		return err
	}
	// Most answers are one batch, whose end is known in no time: all goes at once. What
	// takes longer waits for nothing.
	soon := time.AfterFunc(holdTime, func() { _ = k.wire.flush() }) // an error is the next one's too
	defer soon.Stop()
	b, err := s.next()
	if err != nil || b == nil {
		return err
	}
	out.Rows += b.NumRows()
	if err := k.sendFirst(b); err != nil {
		return err
	}
	soon.Reset(holdTime)
	if b, err = s.next(); err != nil || b == nil {
		return err
	}
	return k.sendRest(s, b, out)
}

// Of the first rows: how long and how many of them are held back at most.
const (
	holdTime  = time.Millisecond
	holdBytes = 64 << 10
)

// sendFirst is send of the first batch, which is held where it is small.
func (k *worker) sendFirst(b arrow.RecordBatch) error {
	if batchSize(b) > holdBytes {
		return k.send(b)
	}
	defer b.Release()
	whole, err := fromZero(b)
	if err != nil {
		return err
	}
	defer whole.Release()
	parts, _ := encodeBatch(whole)
	return k.wire.hold(frameBatch, parts...)
}

// sendRest sends a stream's batches from b on, while the engine makes the next.
func (k *worker) sendRest(s *stream, b arrow.RecordBatch, out *outcome) (err error) {
	ready, sent := make(chan arrow.RecordBatch), make(chan error, 1)
	go func() {
		var err error
		for b := range ready {
			if err != nil {
				b.Release()
			} else {
				err = k.send(b)
			}
		}
		sent <- err
	}()
	defer func() { // the stream's memory must not be in use any more
		close(ready)
		if e := <-sent; err == nil {
			err = e
		}
	}()
	for {
		out.Rows += b.NumRows()
		ready <- b
		if k.stop.Load() == out.ID {
			return classed("INTERRUPT", "stopped")
		}
		if b, err = s.next(); err != nil || b == nil {
			return err
		}
	}
}

// send sends a batch, in pieces that fit into a frame, and releases it.
func (k *worker) send(b arrow.RecordBatch) error {
	defer b.Release()
	whole, err := fromZero(b)
	if err != nil {
		return err
	}
	defer whole.Release()
	parts, n := encodeBatch(whole)
	if n <= maxMessage {
		return k.wire.send(frameBatch, nil, parts...)
	}
	if b.NumRows() == 1 {
		return errTooWide
	}
	half := b.NumRows() / 2
	if err := k.send(b.NewSlice(0, half)); err != nil {
		return err
	}
	return k.send(b.NewSlice(half, b.NumRows()))
}
