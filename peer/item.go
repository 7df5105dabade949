package peer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"strings"
	"sync"

	"weft"
	"weft/sign"
)

// RecordID names a place for one record: that of a kind, a key and the one who claims
// it. A record takes the place of an older one of the same place and of no other, so
// that nobody can put something else in place of what another one signed. Its first
// eight bytes are of kind and key alone: all claims to one key lie side by side.
type RecordID [16]byte

// String returns the id in hexadecimal.
func (id RecordID) String() string { return hex.EncodeToString(id[:]) }

// leaf is the leaf of the tree of sums that the id belongs to.
func (id RecordID) leaf() uint16 { return binary.BigEndian.Uint16(id[:2]) >> 4 }

// placeOf names the place of by's record of kind and key.
func placeOf(kind, key, by string) (id RecordID) {
	b := append(append(append(make([]byte, 0, 256), kind...), 0), key...)
	all := sha256.Sum256(b)
	one := sha256.Sum256(append(append(b, 0), by...))
	copy(id[:8], all[:])
	copy(id[8:], one[:])
	return id
}

// Entry is what nodes compare: the version and the digest of the record at a place.
type Entry struct {
	ID      RecordID
	Version uint64
	Hash    [8]byte // the first bytes of the record's digest
}

// newer reports whether e takes the place of other.
func (e Entry) newer(other Entry) bool {
	if e.Version != other.Version {
		return e.Version > other.Version
	}
	return bytes.Compare(e.Hash[:], other.Hash[:]) > 0
}

// Sum is a sum modulo 2^128 of digests of entries: equal sums are equal sets.
type Sum [16]byte

func sumOf(e Entry) (s Sum) {
	var b [32]byte
	copy(b[:16], e.ID[:])
	binary.BigEndian.PutUint64(b[16:24], e.Version)
	copy(b[24:], e.Hash[:])
	d := sha256.Sum256(b[:])
	copy(s[:], d[:])
	return s
}

func (s Sum) words() (hi, lo uint64) {
	return binary.BigEndian.Uint64(s[:8]), binary.BigEndian.Uint64(s[8:])
}

// item is a record as the set knows it. It is never changed, and may be shared by the
// sets of many nodes of one process.
type item struct {
	Entry
	sum     Sum
	hash    weft.Hash
	kind    string
	key     string
	signers []weft.KeyID
	time    int64  // microseconds since 1970
	product string // of cards, heads and handovers: the product's identity
	gone    bool   // a tombstone
	opaque  bool   // of a kind or a format that is not interpreted
	// fact is the body, decoded, of the kinds that say who may sign what.
	fact any
	// rec is the record where it is held in memory; where not, it is on the disk.
	rec *sign.Record
	// verified is set once its signatures were verified, while nobody else has the item.
	verified bool
}

// signer is who claims the place, where that is one.
func (it *item) signer() weft.KeyID { return it.signers[0] }

// domain is the domain of a card's, a head's and a handover's product.
func (it *item) domain() string {
	d, _, _ := strings.Cut(it.key, ".")
	return d
}

// read makes an item of a record and validates all that can be said of it by itself.
// Its signatures have not been verified.
func read(raw []byte) (*item, error) {
	r, err := sign.Peek(raw)
	if err != nil {
		return nil, err
	}
	return itemOf(r)
}

// itemOf is read of a record whose head was read before.
func itemOf(r *sign.Record) (*item, error) {
	if n := limitOf(r.Kind); len(r.Raw()) > n {
		return nil, refuse(r, weft.KindInvalid, "it has %d bytes, and %d is the most for its kind", len(r.Raw()), n)
	}
	it := &item{hash: r.Hash(), kind: r.Kind, key: r.Key, signers: r.Signers, time: r.Time.UnixMicro(), rec: r}
	it.Version = r.Version
	copy(it.Hash[:], it.hash[:])
	by, err := it.interpret(r)
	if err != nil {
		return nil, err
	}
	it.ID = placeOf(it.kind, it.key, by)
	it.sum = sumOf(it.Entry)
	return it, nil
}

// Verified is what was verified already, by its bytes: nodes of one process that share
// it hold each record once, and work its digest out and verify it once. It grows
// without bound and is for tests. It is safe for concurrent use.
type Verified struct {
	mu    sync.RWMutex
	seed  maphash.Seed
	items map[uint64]*item // by a sum of their bytes; of two with the same one is here
}

// NewVerified makes an empty one.
func NewVerified() *Verified {
	return &Verified{seed: maphash.MakeSeed(), items: map[uint64]*item{}}
}

// get returns the item of raw, nil where it was not verified yet. It may be called on
// nil, as put may.
func (v *Verified) get(raw []byte) *item {
	if v == nil {
		return nil
	}
	sum := maphash.Bytes(v.seed, raw)
	v.mu.RLock()
	it := v.items[sum]
	v.mu.RUnlock()
	if it == nil || !bytes.Equal(it.rec.Raw(), raw) {
		return nil
	}
	return it
}

// put keeps it and returns the one to use.
func (v *Verified) put(it *item) *item {
	if v == nil {
		return it
	}
	sum := maphash.Bytes(v.seed, it.rec.Raw())
	v.mu.Lock()
	defer v.mu.Unlock()
	if have := v.items[sum]; have != nil && have.hash == it.hash {
		return have
	}
	v.items[sum] = it
	return it
}
