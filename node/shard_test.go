package node

import (
	"fmt"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

const shardQty = "name: qty, logicalType: integer, physicalType: integer, required: true, customProperties: [{property: weftShard, value: {modulus: 2, remainder: %d}}]"

// divided says whether the node answers for the table being the shard, at its newest state.
func (r *rig) divided() bool {
	r.t.Helper()
	p, err := r.node.find(mustName(r.t, "sales.ledger"))
	if err != nil {
		r.t.Fatal(err)
	}
	release, err := p.hold(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer release()
	column, s, ok := p.shard("ledger", p.store.Head().Seq)
	if ok && (column != "qty" || s != weft.Shard{Modulus: 2, Remainder: 1}) {
		r.t.Errorf("%s %v", column, s)
	}
	return ok
}

// TestShardHolds: a table is a shard when all of its rows were held against that, those from
// before too, and rows of others are refused.
func TestShardHolds(t *testing.T) {
	r := newRig(t)
	qty, odd := "name: qty, logicalType: integer, physicalType: integer, required: true", fmt.Sprintf(shardQty, 1)
	r.ledger("append", id1, qty)
	r.rows("a.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,item %d,%d", 0+i, i, 2*i+1) })
	r.apply("ledger", serve.OutcomeCommitted)
	if r.divided() {
		t.Error("nothing says that it is one")
	}
	r.ledger("append", id1, odd)
	r.apply("ledger", serve.OutcomeApplied)
	if !r.divided() {
		t.Error("its rows were held against the shard")
	}
	r.rows("b.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,more %d,%d", 10000+i, i, 2*i+10001) })
	r.refresh("sales.ledger", serve.OutcomeCommitted)
	r.restart()
	if !r.divided() {
		t.Error("it is one after a restart")
	}
	r.rows("c.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,even %d,%d", 20000+i, i, i) })
	if res := r.refresh("sales.ledger", serve.OutcomeRefused); !strings.Contains(res.Message, "shard 1 of modulus 2") {
		t.Error(res.Message)
	}
	if !r.divided() {
		t.Error("what was refused changes nothing")
	}
}

// TestShardOfRowsFromBefore: rows that are there already and are of another shard are found when
// the contract says it, and until they are gone nobody counts on it.
func TestShardOfRowsFromBefore(t *testing.T) {
	r := newRig(t)
	r.ledger("append", id1, "name: qty, logicalType: integer, physicalType: integer, required: true")
	r.rows("a.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,item %d,%d", 0+i, i, i) })
	r.apply("ledger", serve.OutcomeCommitted)
	r.ledger("append", id1, fmt.Sprintf(shardQty, 1))
	if res := r.apply("ledger", serve.OutcomeRefused); !strings.Contains(res.Message, "500 rows of table 'ledger' that are there already") {
		t.Error(res.Message)
	}
	if r.divided() {
		t.Error("half of its rows are of another shard")
	}
	r.restart()
	if r.divided() {
		t.Error("half of its rows are of another shard after a restart")
	}
	r.rows("a.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,item %d,%d", 0+i, i, 2*i+1) })
	r.ledger("snapshot", id1, fmt.Sprintf(shardQty, 1))
	r.apply("ledger", serve.OutcomeCommitted)
	if !r.divided() {
		t.Error("all of its rows were read anew")
	}
	r.want("SELECT count(*) FROM sales.ledger", "1000")
}

// TestRollbackToAShardThatNeverHeld: a commit of a folder has the rows of before, which may not
// be of the shard that it says. A rollback to it is refused.
func TestRollbackToAShardThatNeverHeld(t *testing.T) {
	r := newRig(t)
	r.ledger("append", id1, "name: qty, logicalType: integer, physicalType: integer, required: true")
	r.rows("a.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,item %d,%d", i, i, i) })
	first := r.apply("ledger", serve.OutcomeCommitted).Commit.Seq
	r.ledger("append", id1, fmt.Sprintf(shardQty, 1))
	r.apply("ledger", serve.OutcomeRefused)
	p, err := r.node.find(mustName(t, "sales.ledger"))
	if err != nil {
		t.Fatal(err)
	}
	release, err := p.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	applied := p.store.Head().Seq
	release()
	_, err = r.node.Rollback(t.Context(), tester, p.name(), applied)
	if weft.KindOf(err) != weft.KindContract || !strings.Contains(err.Error(), "500 rows of table 'ledger'") || weft.HintOf(err) == "" {
		t.Error(err)
	}
	if r.divided() {
		t.Error("half of its rows are of another shard")
	}
	if _, err := r.node.Rollback(t.Context(), tester, p.name(), first); err != nil {
		t.Error(err)
	}
	if r.divided() {
		t.Error("the folder of then says nothing of a shard")
	}
}
