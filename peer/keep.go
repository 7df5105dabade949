package peer

import (
	"encoding/binary"
	"errors"
	"path/filepath"

	"github.com/syndtr/goleveldb/leveldb"
	leveldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"weft"
	"weft/sign"
)

// keep holds a set's records on the disk: under "i" and the place what the set keeps
// in memory of a record, under "r" and the place its bytes behind their digest. What
// is read from it was verified before it was written and is not verified again: every
// byte is under a checksum.
type keep struct {
	db  *leveldb.DB
	dir string
}

// recordsDir is the folder of a mesh folder that the records are in.
const recordsDir = "records"

const keepFormat = 1

// openKeep opens the records below the mesh folder, or makes them.
func openKeep(mesh string) (*keep, error) {
	dir := filepath.Join(mesh, recordsDir)
	db, err := leveldb.OpenFile(dir, &opt.Options{
		Strict: opt.StrictAll &^ opt.StrictJournal, // a torn end of the journal is what a power cut leaves
		Filter: filter.NewBloomFilter(10), WriteBuffer: 8 << 20, BlockCacheCapacity: 16 << 20, OpenFilesCacheCapacity: 64,
	})
	if err != nil {
		return nil, (&keep{dir: dir}).fault("open the records", err)
	}
	k := &keep{db: db, dir: dir}
	if err := k.checkFormat(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return k, nil
}

func (k *keep) checkFormat() error {
	b, err := k.db.Get([]byte("format"), nil)
	switch {
	case errors.Is(err, leveldb.ErrNotFound):
		return k.fault("open the records", k.db.Put([]byte("format"), []byte{keepFormat}, &opt.WriteOptions{Sync: true}))
	case err != nil:
		return k.fault("open the records", err)
	case len(b) != 1 || b[0] > keepFormat:
		return weft.Errorf(weft.KindInvalid, "open the records", k.dir, "a newer version of weft wrote them").WithHint("use that version")
	}
	return nil
}

// fault says what an error of the database means.
func (k *keep) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	if leveldberrors.IsCorrupted(err) {
		return weft.Errorf(weft.KindCorrupt, op, k.dir, "the node's copy of the mesh's records is damaged: %w", err).
			WithHint("stop the node, move the folder %s away and start it: the records come again from the other nodes, its keys stay", k.dir)
	}
	return weft.Errorf(weft.KindUnavailable, op, k.dir, "%w", err)
}

func (k *keep) close() error { return k.fault("close the records", k.db.Close()) }

func keyOf(of byte, id RecordID) []byte { return append([]byte{of}, id[:]...) }

// put writes a record; with sync it is there whatever becomes of the machine.
func (k *keep) put(it *item, floor, sync bool) error {
	b := new(leveldb.Batch)
	b.Put(keyOf('i', it.ID), encodeItem(it, floor))
	b.Put(keyOf('r', it.ID), append(it.hash[:len(it.hash):len(it.hash)], it.rec.Raw()...))
	return k.fault("write the record", k.db.Write(b, &opt.WriteOptions{Sync: sync}))
}

// mark makes a floor of what is there.
func (k *keep) mark(it *item) error {
	return k.fault("write the record", k.db.Put(keyOf('i', it.ID), encodeItem(it, true), nil))
}

func (k *keep) remove(id RecordID) error {
	b := new(leveldb.Batch)
	b.Delete(keyOf('i', id))
	b.Delete(keyOf('r', id))
	return k.fault("remove the record", k.db.Write(b, nil))
}

// read returns the record at a place.
func (k *keep) read(id RecordID) (*sign.Record, error) {
	b, err := k.db.Get(keyOf('r', id), nil)
	if err != nil {
		return nil, k.fault("read the record", err)
	}
	var h weft.Hash
	if len(b) < len(h) {
		return nil, k.fault("read the record", k.torn(id))
	}
	copy(h[:], b)
	return sign.Recall(b[len(h):], h)
}

func (k *keep) torn(id RecordID) error {
	return weft.Errorf(weft.KindCorrupt, "read the record", id.String(), "what is kept of it is not whole").
		WithHint("stop the node, move the folder %s away and start it: the records come again from the other nodes, its keys stay", k.dir)
}

// load gives what the set keeps in memory of each record; the items of facts come with
// the facts.
func (k *keep) load(f func(it *item, floor bool)) error {
	rows := k.db.NewIterator(util.BytesPrefix([]byte("i")), nil)
	defer rows.Release()
	for rows.Next() {
		if len(rows.Key()) != 17 {
			return k.torn(RecordID{})
		}
		id := RecordID(rows.Key()[1:])
		it, floor, ok := decodeItem(rows.Value())
		if !ok {
			return k.torn(id)
		}
		it.ID = id
		it.sum = sumOf(it.Entry)
		if !floor && isFact(it) {
			r, err := k.read(id)
			if err != nil {
				return err
			}
			if it, err = read(r.Raw()); err != nil || it.ID != id {
				return k.torn(id)
			}
			it.rec = nil
		}
		f(it, floor)
	}
	return k.fault("read the records", rows.Error())
}

// check reads all that is kept, and calls f, which may be nil, for each record. What it
// returns is the first thing that is wrong. Signatures are verified.
func (k *keep) check(f func(*sign.Record) error) error {
	rows := k.db.NewIterator(util.BytesPrefix([]byte("i")), nil)
	defer rows.Release()
	for rows.Next() {
		it, _, ok := decodeItem(rows.Value())
		if !ok || len(rows.Key()) != 17 {
			return k.torn(RecordID{})
		}
		id := RecordID(rows.Key()[1:])
		r, err := k.read(id)
		if err != nil {
			return err
		}
		if again, err := sign.Open(r.Raw()); err != nil || again.Hash() != it.hash {
			return k.torn(id)
		}
		if f != nil {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return k.fault("read the records", rows.Error())
}

// compact writes the whole database anew, in tables.
func (k *keep) compact() error {
	return k.fault("compact the records", k.db.CompactRange(util.Range{}))
}

// isFact reports whether the item's body says who may sign what.
func isFact(it *item) bool {
	return !it.opaque && it.kind != KindCard && it.kind != KindHead
}

const (
	flagGone = 1 << iota
	flagOpaque
	flagFloor
)

func encodeItem(it *item, floor bool) []byte {
	var flags byte
	for bit, on := range map[byte]bool{flagGone: it.gone, flagOpaque: it.opaque, flagFloor: floor} {
		if on {
			flags |= bit
		}
	}
	b := append([]byte{flags}, it.hash[:]...)
	b = binary.BigEndian.AppendUint64(b, it.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(it.time))
	for _, text := range []string{it.kind, it.key, it.product} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	for _, s := range it.signers {
		b = append(b, s[:]...)
	}
	return b
}

func decodeItem(b []byte) (it *item, floor, ok bool) {
	it = &item{}
	if len(b) < 49 {
		return nil, false, false
	}
	flags := b[0]
	it.gone, it.opaque, floor = flags&flagGone != 0, flags&flagOpaque != 0, flags&flagFloor != 0
	copy(it.hash[:], b[1:33])
	copy(it.Hash[:], it.hash[:])
	it.Version = binary.BigEndian.Uint64(b[33:41])
	it.time = int64(binary.BigEndian.Uint64(b[41:49]))
	b = b[49:]
	for _, text := range []*string{&it.kind, &it.key, &it.product} {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return nil, false, false
		}
		*text = string(b[w : w+int(n)])
		b = b[w+int(n):]
	}
	if len(b) == 0 || len(b)%32 != 0 {
		return nil, false, false
	}
	for ; len(b) > 0; b = b[32:] {
		it.signers = append(it.signers, weft.KeyID(b[:32]))
	}
	return it, floor, true
}

// bind makes the set that of a mesh and fills it with what k holds; k may be nil.
func (s *Set) bind(mesh weft.Hash, k *keep) error {
	s.adding.Lock()
	defer s.adding.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth, s.keep = newAuthority(mesh), k
	if k == nil {
		return nil
	}
	if err := k.load(s.enter); err != nil {
		return err
	}
	// What a fact buries is removed after the fact is written: the end may have come in
	// between.
	for node := range s.signed {
		if s.auth.dead(node) {
			s.buryAll(node)
		}
	}
	return nil
}

// unbind closes what the set's records are on; it holds nothing then.
func (s *Set) unbind(k *keep) error {
	s.adding.Lock()
	defer s.adding.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth, s.keep, s.tree = newAuthority(weft.Hash{}), nil, tree{}
	clear(s.floors)
	clear(s.former)
	clear(s.signed)
	clear(s.unread)
	if k == nil {
		return nil
	}
	return k.close()
}
