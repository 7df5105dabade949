package catalog

import (
	"encoding/binary"
	"time"

	"weft"
)

// How cards and heads stand in the folder: numbers as varints, texts behind their
// length, times in microseconds since 1970.

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendName(b []byte, n weft.Name) []byte { return appendText(appendText(b, n.Domain), n.Product) }

func appendTime(b []byte, t time.Time) []byte { return binary.AppendVarint(b, t.UnixMicro()) }

func (s stamp) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, s.version), s.hash)
}

func (d *doc) append(b []byte) []byte {
	b = d.stamp.append(appendName(b, d.name))
	b = appendText(b, string(d.life))
	b = append(append(b, d.origin[:]...), d.signer[:]...)
	b = appendTime(appendTime(b, d.signed), d.received)
	b = binary.AppendUvarint(b, uint64(len(d.inputs)))
	for _, n := range d.inputs {
		b = appendName(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(d.body)))
	return append(b, d.body...)
}

func (h *head) append(b []byte, n weft.Name) []byte {
	b = h.stamp.append(appendName(b, n))
	b = append(b, h.origin[:]...)
	b = appendTime(appendTime(appendTime(b, h.signed), h.received), h.checked)
	b = appendText(b, string(h.state))
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(h.passed)), uint64(h.failed))
	b = binary.AppendUvarint(b, uint64(len(h.body)))
	return append(b, h.body...)
}

// reader takes from the front what was written so. What is not there is bad, and
// zero.
type reader struct {
	b     []byte
	bad   bool
	words map[string]string // texts that come again and again are kept once
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is how many follow; each takes a byte at least.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) raw() []byte { return r.bytes(r.number()) }

// word is a text that many have.
func (r *reader) word() string {
	b := r.raw()
	s, ok := r.words[string(b)]
	if !ok {
		s = string(b)
		r.words[s] = s
	}
	return s
}

func (r *reader) name() weft.Name { return weft.Name{Domain: r.word(), Product: string(r.raw())} }

func (r *reader) key() (k weft.KeyID) {
	copy(k[:], r.bytes(uint64(len(k))))
	return k
}

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return time.Time{}
	}
	r.b = r.b[n:]
	return time.UnixMicro(v).UTC()
}

func (r *reader) stamp() (s stamp) {
	s.version = r.number()
	if b := r.bytes(8); b != nil {
		s.hash = binary.LittleEndian.Uint64(b)
	}
	return s
}

func (r *reader) doc() *doc {
	d := &doc{name: r.name()}
	d.stamp = r.stamp()
	d.life = weft.Life(r.word())
	d.origin, d.signer = r.key(), r.key()
	d.signed, d.received = r.time(), r.time()
	for range r.count() {
		d.inputs = append(d.inputs, r.name())
	}
	d.body = r.raw()
	return d
}

func (r *reader) head() (weft.Name, *head) {
	n, h := r.name(), &head{}
	h.stamp = r.stamp()
	h.origin = r.key()
	h.signed, h.received, h.checked = r.time(), r.time(), r.time()
	h.state = weft.State(r.word())
	h.passed, h.failed = int(r.number()), int(r.number())
	h.body = r.raw()
	return n, h
}
