package store

import (
	"slices"
	"strings"

	"weft"
	"weft/sign"
)

// A copy of a product at another node is a store of its own, whose commits are told
// by the origin: each header without what stays there (hidden tables and tables that
// are not offered, how far inputs were read, the checks of inputs), with the hash of
// the whole header, so that the chain of the copy is the chain of the origin, and
// the origin's signature over both. Blocks are the origin's own, and the header that
// is told has their digests.

// frameTold ends a commit of a copy in the place of frameHeader: hash, key,
// signature, and the header's JSON.
const frameTold = 't'

const (
	toldHash   = 32
	toldKey    = toldHash + 32
	toldPrefix = toldKey + 64
)

// toldContext keeps the signature from being taken for one of anything else.
const toldContext = "told commit 1"

// Tell writes what a node tells of a commit: c is as disclosed gives it, and Hash
// that of the whole header.
func Tell(c weft.Commit, key sign.Key) ([]byte, error) {
	header, err := sign.Canonical(c.Header)
	if err != nil {
		return nil, err
	}
	by := key.ID()
	b := append(make([]byte, 0, toldPrefix+len(header)), c.Hash[:]...)
	b = append(b, by[:]...)
	b = append(b, key.Sign(toldContext, c.Hash[:], header)...)
	return append(b, header...), nil
}

// ReadTold reads what Tell wrote, or somebody who means harm: the signature holds,
// and it is a commit as one can be told. Who by is, is for the caller to know.
func ReadTold(b []byte) (c weft.Commit, by weft.KeyID, err error) {
	bad := func(why string) (weft.Commit, weft.KeyID, error) {
		return weft.Commit{}, by, weft.Errorf(weft.KindCorrupt, "read what the origin tells", "", "%s", why)
	}
	if len(b) > maxHeader+toldPrefix {
		return bad("the commit says too much of itself")
	}
	if c, err = parseTold(b); err != nil {
		return bad("the commit's header cannot be read")
	}
	by = weft.KeyID(b[toldHash:toldKey])
	if !sign.Verify(by, b[toldKey:toldPrefix], toldContext, c.Hash[:], b[toldPrefix:]) {
		return bad("the signature of the commit does not hold")
	}
	seen := map[string]bool{}
	for _, t := range c.Tables {
		switch {
		case t.Hidden || t.Table == "" || len(t.Table) > 300 || seen[t.Table]:
			return bad("the commit changes a table that a copy cannot have")
		case min(t.Inserted, t.Updated, t.Deleted, t.Rows) < 0:
			return bad("the commit counts fewer rows than none")
		case len(t.Blocks) > 0 && len(t.Files) > 0:
			return bad("the commit has both blocks and files of one table")
		}
		seen[t.Table] = true
		for _, f := range t.Files {
			if f.Bytes <= 0 || f.Rows < 0 {
				return bad("the commit names a file of no size")
			}
		}
	}
	if len(c.Positions) > 0 || c.ID == "" || c.Product.IsZero() || c.Incarnation == 0 {
		return bad("the commit is not told as one of a product is")
	}
	return c, by, nil
}

// parseTold reads a frame of a copy's own journal, whose signature was held when it
// was written.
func parseTold(b []byte) (c weft.Commit, err error) {
	if len(b) < toldPrefix {
		return c, errMessage
	}
	c.Hash = weft.Hash(b[:toldHash])
	return c, decodeHeader(b[toldPrefix:], &c.Header)
}

// commitOf reads the frame that ends a commit: its header and its hash.
func commitOf(fr frame) (c weft.Commit, err error) {
	if fr.Kind == frameTold {
		return parseTold(fr.Payload)
	}
	c.Hash = sign.Digest(fr.Payload)
	return c, decodeHeader(fr.Payload, &c.Header)
}

// endsCommit says whether a frame of that kind is the last of a commit.
func endsCommit(kind byte) bool { return kind == frameHeader || kind == frameTold }

// disclosed is a commit without what stays at the origin; gives says which tables
// are offered.
func disclosed(c weft.Commit, gives func(table string) bool) weft.Commit {
	c.Positions = nil
	c.Tables = slices.DeleteFunc(slices.Clone(c.Tables), func(t weft.TableChange) bool { return t.Hidden || !gives(t.Table) })
	if c.Verdict != nil {
		v := *c.Verdict
		v.Checks = slices.DeleteFunc(slices.Clone(v.Checks), func(r weft.CheckResult) bool {
			return strings.Contains(r.Table, ".") || !gives(r.Table) // an input's table has its port before it
		})
		c.Verdict = &v
	}
	return c
}
