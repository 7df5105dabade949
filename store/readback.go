package store

import (
	"maps"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/sign"
)

// changesOf reads the changes of a commit from its frames. Everything is held
// against the digests in the header. Schemas are those that earlier commits of
// the segment wrote; those of this one are added.
func changesOf(seg *segment, c scanned, schemas map[weft.Hash][]byte) ([]*change, error) {
	return changesHeld(seg, c, schemas, nil)
}

// changesHeld is changesOf for rows that come from elsewhere: hold looks at each
// block's before anything else does, nil for no look.
func changesHeld(seg *segment, c scanned, schemas map[weft.Hash][]byte, hold func(arrow.RecordBatch) error) ([]*change, error) {
	var blocks []frame
	for _, f := range c.frames {
		switch f.Kind {
		case frameSchema:
			schemas[sign.Digest(f.Payload)] = f.Payload
		case frameBlock:
			blocks = append(blocks, f)
		default:
			return nil, corrupt(seg.path, f.Offset, "a frame of kind %q stands within a commit", f.Kind)
		}
	}
	var out []*change
	for _, info := range c.header.Tables {
		if len(info.Blocks) > len(blocks) {
			return nil, corrupt(seg.path, c.at, "commit %s names %d blocks of table %s, there are %d", c.header.Seq, len(info.Blocks), info.Table, len(blocks))
		}
		ch, err := changeOf(seg, c, info, schemas, blocks[:len(info.Blocks)], hold)
		if err != nil {
			return nil, err
		}
		blocks = blocks[len(info.Blocks):]
		out = append(out, ch)
	}
	if len(blocks) > 0 {
		return nil, corrupt(seg.path, blocks[0].Offset, "commit %s does not name this block", c.header.Seq)
	}
	return out, nil
}

func changeOf(seg *segment, c scanned, info weft.TableChange, schemas map[weft.Hash][]byte, blocks []frame, hold func(arrow.RecordBatch) error) (*change, error) {
	ch := &change{info: info, schemaID: info.Schema, message: schemas[info.Schema]}
	if ch.message == nil {
		return nil, corrupt(seg.path, c.at, "the segment does not hold schema %s, which commit %s names", info.Schema.Short(), c.header.Seq)
	}
	var err error
	if ch.schema, err = decodeSchema(ch.message); err != nil {
		return nil, corrupt(seg.path, c.at, "the schema of table %s cannot be read: %v", info.Table, err)
	}
	if ch.keys, err = keyColumns(ch.schema, info.Key); err != nil {
		return nil, corrupt(seg.path, c.at, "table %s: %v", info.Table, err)
	}
	for i, f := range blocks {
		if sign.Digest(f.Payload) != info.Blocks[i] {
			return nil, corrupt(seg.path, f.Offset, "the block is not the one that commit %s names", c.header.Seq)
		}
		var rec arrow.RecordBatch
		if id, err := blockSchema(f.Payload); err != nil || id != info.Schema {
			return nil, corrupt(seg.path, f.Offset, "the block has another schema than its table")
		}
		if rec, err = ch.decode(f.Payload); err != nil {
			return nil, corrupt(seg.path, f.Offset, "the block cannot be read: %v", err)
		}
		if hold != nil {
			if err := hold(rec); err != nil {
				return nil, corrupt(seg.path, f.Offset, "the block holds rows that cannot be: %v", err)
			}
		}
		in, err := ch.readRows(rec)
		if err != nil {
			return nil, corrupt(seg.path, f.Offset, "the block holds no valid change: %v", err)
		}
		ch.rows = append(ch.rows, in)
		ch.batches = append(ch.batches, rec)
	}
	return ch, nil
}

// schemas are all that the segment holds, in a map of the caller's own.
func (s *segment) schemas() (m map[weft.Hash][]byte, err error) {
	err = s.withIndex(func(x *segmentIndex) { m = maps.Clone(x.schemas) })
	return m, err
}
