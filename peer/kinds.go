package peer

import (
	"time"

	"weft"
)

// The kinds of records. A record of any other kind is kept and passed on, and not
// interpreted.
const (
	KindCharter    = "charter"    // what the mesh is; key ""
	KindDomain     = "domain"     // whose a domain's name is; key the domain
	KindAdmission  = "admission"  // that a node belongs to a domain; key NodeKey
	KindNode       = "node"       // how to reach a node; key the node
	KindRevocation = "revocation" // that it belongs no longer; key NodeKey
	KindRotation   = "rotation"   // that a node has a new key; key the old one
	KindCard       = "card"       // what a product is; key its name
	KindHead       = "head"       // where a product stands; key its name
	KindHandover   = "handover"   // that a product moves to another node; key its name
)

// NodeKey is the key of an admission and of a revocation. An empty domain means none
// in an admission, and all in a revocation.
func NodeKey(node weft.KeyID, domain string) string { return node.String() + "/" + domain }

// Charter is the body of the record that founds a mesh. The digest of the first one
// is the mesh's identity. A later one may change all but the founders and the
// threshold.
type Charter struct {
	Name            string       `json:"name"`
	Founders        []weft.KeyID `json:"founders"`
	Threshold       int          `json:"threshold"` // how many founders must sign
	Classifications []string     `json:"classifications,omitempty"`
	Purposes        []string     `json:"purposes,omitempty"`
	Grace           Grace        `json:"grace"`
}

// Grace says how long things are waited for.
type Grace struct {
	GoneDays int `json:"goneDays,omitempty"` // tombstones travel for so long; 0 means 30
}

// Gone is how long a tombstone travels.
func (g Grace) Gone() time.Duration {
	if g.GoneDays <= 0 {
		return 30 * 24 * time.Hour
	}
	return time.Duration(g.GoneDays) * 24 * time.Hour
}

// Certificate is the body of a domain's record: whoever has the key speaks for the
// domain and admits nodes to it. Of several the one of the highest epoch holds, which
// is the record's version as well.
type Certificate struct {
	Domain string     `json:"domain"`
	Key    weft.KeyID `json:"key"`
	Epoch  uint64     `json:"epoch"`
}

// Admission is the body of the record that makes a node belong to a domain, or to
// none ("") and yet to the mesh.
type Admission struct {
	Node   weft.KeyID `json:"node"`
	Domain string     `json:"domain"`
	By     weft.KeyID `json:"by,omitzero"` // the node that took it in, for information
}

// NodeInfo is the body of a node's own record.
type NodeInfo struct {
	Name      string       `json:"name"`
	Addresses []string     `json:"addresses,omitempty"` // host:port
	Relays    []weft.KeyID `json:"relays,omitempty"`    // nodes through which it can be reached
	Relay     bool         `json:"relay,omitempty"`     // it lets others be reached through it
	Version   string       `json:"version,omitempty"`   // of the program
	Formats   []int        `json:"formats,omitempty"`   // of records that it reads
	Domains   []string     `json:"domains,omitempty"`   // for information: admissions count
	// Instance is new with each start of the node's process: two that run with one
	// key are noticed by it.
	Instance string `json:"instance,omitempty"`
}

// Revocation is the body of the record that ends a node's belonging to a domain, or
// to the mesh (""). It is final.
type Revocation struct {
	Node   weft.KeyID `json:"node"`
	Domain string     `json:"domain"`
	Reason string     `json:"reason,omitempty"`
	Name   string     `json:"name,omitempty"` // of the node: its own record goes with it
}

// Rotation is the body of the record by which a node takes a new key. What the old
// one was admitted to the new one is; the old one is spent.
type Rotation struct {
	Old weft.KeyID `json:"old"`
	New weft.KeyID `json:"new"`
}

// Handover is the body of the record by which a product moves. The cards of From that
// are not newer than it count no longer.
type Handover struct {
	Product weft.Name  `json:"product"`
	ID      string     `json:"id"`
	From    weft.KeyID `json:"from"`
	To      weft.KeyID `json:"to"`
}

// Tombstone is the body of a card or a head that is withdrawn.
type Tombstone struct {
	Gone bool   `json:"gone"`
	ID   string `json:"id"`
}

// limits are the most bytes that a record of each kind may have; any other kind may
// have limitOther.
var limits = map[string]int{
	KindCharter: 64 << 10, KindDomain: 8 << 10, KindAdmission: 8 << 10, KindNode: 16 << 10, KindRevocation: 8 << 10,
	KindRotation: 4 << 10, KindCard: 256 << 10, KindHead: 16 << 10, KindHandover: 4 << 10,
}

const (
	limitOther  = 64 << 10
	maxFounders = 16
	maxPerNode  = 250_000 // records that one signer may have in the set
	maxUnread   = 1_000   // of these of kinds and formats that are not interpreted
	aheadOfTime = 2 * time.Hour
)

func limitOf(kind string) int {
	if n, ok := limits[kind]; ok {
		return n
	}
	return limitOther
}
