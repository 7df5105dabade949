package store

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Arrow messages keep their heads in flatbuffers, whose Go reader believes every
// count in them: a few bytes can make it take gigabytes, which no recover catches.
// Schemas from another node, and every block, are walked here first, with a budget:
// what is counted must be there, and nothing is compressed. What lies outside of its bytes
// makes Arrow's reader panic, which decodeSchema and decodeBlock turn into errors.

// Bounds of messages that come from elsewhere.
const (
	maxSchemaMessage = 4 << 20
	maxSchemaParts   = 200_000 // fields, metadata and children together
	maxSchemaText    = 8 << 20 // bytes of all names and metadata
	maxSchemaDepth   = 64
)

// The kinds of messages, and where their heads keep what is read here.
const (
	messageSchema = 1
	messageBatch  = 3
)

// messageTypes are the types of columns that a table can have, as messages number
// them: of none of them but a timestamp does a text or a list belong to the type.
var messageTypes = []byte{2, 3, 4, 5, 6, 7, 8, 9, typeTimestamp, 12, 13, 19, 20}

const typeTimestamp = 10

var errMessage = errors.New("the bytes are no Arrow message")

// tables reads flatbuffers that may be anything.
type tables struct {
	b     []byte
	parts int // that may still be counted
	text  int // bytes of text that may still be read
}

func (t *tables) u16(at int) (int, bool) {
	if at < 0 || at > len(t.b)-2 {
		return 0, false
	}
	return int(binary.LittleEndian.Uint16(t.b[at:])), true
}

func (t *tables) u32(at int) (int, bool) {
	if at < 0 || at > len(t.b)-4 {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(t.b[at:])
	return int(n), n <= math.MaxInt32
}

// follow is where the offset at a place leads, 0 for nowhere.
func (t *tables) follow(at int) int {
	n, ok := t.u32(at)
	if !ok || n == 0 || at+n > len(t.b)-4 {
		return 0
	}
	return at + n
}

// field is where a table has one of its fields, 0 where it does not.
func (t *tables) field(table, n int) int {
	if table < 0 || table > len(t.b)-4 {
		return 0
	}
	vt := table - int(int32(binary.LittleEndian.Uint32(t.b[table:])))
	size, ok := t.u16(vt)
	if !ok || 4+2*n >= size { // as Arrow's reader has it, to the byte
		return 0
	}
	off, ok := t.u16(vt + 4 + 2*n)
	if !ok || off == 0 || table+off >= len(t.b) {
		return 0
	}
	return table + off
}

// vector is where the elements of a vector begin, and how many there are: all of
// them within the bytes.
func (t *tables) vector(table, n, size int) (at, count int, err error) {
	f := t.field(table, n)
	if f == 0 {
		return 0, 0, nil
	}
	v := t.follow(f)
	count, ok := t.u32(v)
	if v == 0 || !ok || count > (len(t.b)-v-4)/size {
		return 0, 0, errMessage
	}
	if t.parts -= count; t.parts < 0 {
		return 0, 0, errMessage
	}
	return v + 4, count, nil
}

// words counts the bytes of a text of a table.
func (t *tables) words(table, n int) error {
	_, count, err := t.vector(table, n, 1)
	t.parts += count // bytes are no parts
	if t.text -= count; err != nil || t.text < 0 {
		return errMessage
	}
	return nil
}

// openMessage finds the head of an encapsulated message of one kind.
func openMessage(b []byte, kind byte) (t *tables, head int, err error) {
	if len(b) < 8 || binary.LittleEndian.Uint32(b) != 0xFFFFFFFF {
		return nil, 0, errMessage
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n == 0 || int64(n) > int64(len(b)-8) || n > maxSchemaMessage {
		return nil, 0, errMessage
	}
	t = &tables{b: b[8 : 8+n], parts: maxSchemaParts, text: maxSchemaText}
	root := t.follow(0)
	is := t.field(root, 1)
	at := t.field(root, 2)
	if root == 0 || is == 0 || at == 0 || t.b[is] != kind {
		return nil, 0, errMessage
	}
	if t.field(root, 4) != 0 {
		return nil, 0, errMessage // metadata of the message: the store writes none
	}
	if head = t.follow(at); head == 0 {
		return nil, 0, errMessage
	}
	return t, head, nil
}

// checkSchemaMessage walks a schema before Arrow's reader does.
func checkSchemaMessage(b []byte) error {
	if len(b) > maxSchemaMessage {
		return errMessage
	}
	t, head, err := openMessage(b, messageSchema)
	if err != nil {
		return err
	}
	if err := t.metadata(head, 2); err != nil {
		return err
	}
	return t.fields(head, 1, maxSchemaDepth)
}

// fields walks a vector of fields, each with its own below it.
func (t *tables) fields(table, n, depth int) error {
	at, count, err := t.vector(table, n, 4)
	if err != nil || depth == 0 {
		return errors.Join(err, ifEmpty(count))
	}
	for i := range count {
		f := t.follow(at + 4*i)
		if f == 0 {
			return errMessage
		}
		if t.field(f, 4) != 0 { // a dictionary
			return errMessage
		}
		is, kind := t.field(f, 2), t.field(f, 3)
		if is == 0 || kind == 0 || !slices.Contains(messageTypes, t.b[is]) {
			return errMessage
		}
		if t.b[is] == typeTimestamp {
			if err := t.words(t.follow(kind), 1); err != nil {
				return err // the zone
			}
		}
		if err := errors.Join(t.words(f, 0), t.metadata(f, 6), t.fields(f, 5, depth-1)); err != nil {
			return errMessage
		}
	}
	return nil
}

func ifEmpty(count int) error {
	if count > 0 {
		return errMessage
	}
	return nil
}

// metadata walks a vector of keys and values.
func (t *tables) metadata(table, n int) error {
	at, count, err := t.vector(table, n, 4)
	if err != nil {
		return err
	}
	for i := range count {
		kv := t.follow(at + 4*i)
		if kv == 0 {
			return errMessage
		}
		if err := errors.Join(t.words(kv, 0), t.words(kv, 1)); err != nil {
			return errMessage
		}
	}
	return nil
}

// checkBatchMessage walks the head of a record batch before Arrow's reader does:
// it is not compressed, and its nodes and buffers are there.
func checkBatchMessage(b []byte) error {
	t, head, err := openMessage(b, messageBatch)
	if err != nil {
		return err
	}
	if t.field(head, 3) != 0 || t.field(head, 4) != 0 {
		return errMessage // compressed, or of views: the store writes neither
	}
	for _, n := range []int{1, 2} {
		if _, _, err := t.vector(head, n, 16); err != nil {
			return err
		}
	}
	return nil
}
