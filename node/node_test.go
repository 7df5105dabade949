package node

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"weft"
	"weft/backup"
	"weft/engine"
	"weft/run"
	"weft/serve"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

// rig is a node at work in a folder of the test's own.
type rig struct {
	t    *testing.T
	dir  string
	node *Node
	stop func()
	tune func(*Config) // what the test wants to be otherwise, nil for nothing
	far  elsewhere     // the others that the node sees from its next start on, nil for its own

	cancel context.CancelFunc // tells the node to stop
	done   chan error         // of its Run
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, nil)
}

// newRigWith is newRig with another configuration.
func newRigWith(t *testing.T, tune func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), tune: tune}
	r.start()
	return r
}

func (r *rig) config() Config {
	c := Config{
		Name: "test", Version: "test", Data: filepath.Join(r.dir, ".weft"), Listen: "127.0.0.1:0",
		Memory: 512 << 20, LoadMemory: 512 << 20, Threads: 2, RunEnv: run.Quiet(),
	}
	if r.tune != nil {
		r.tune(&c)
	}
	return c
}

func (r *rig) start() {
	r.t.Helper()
	n, err := New(r.config())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := n.Open(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	if r.far != nil {
		n.far = r.far
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	r.node, r.cancel, r.done = n, cancel, done
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error("run:", err)
		}
		if err := n.Close(); err != nil {
			r.t.Error("close:", err)
		}
		r.stop = func() {}
	}
	r.t.Cleanup(func() { r.stop() })
	// What is applied before the node runs is looked at twice.
	r.eventually("the node runs", func() bool {
		n.mu.RLock()
		defer n.mu.RUnlock()
		return n.running != nil
	})
}

// restores puts a backup in the place of the node's data folder, and starts it again.
func (r *rig) restores(kept string) {
	r.t.Helper()
	r.stop()
	data := filepath.Join(r.dir, ".weft")
	if err := os.RemoveAll(data); err != nil {
		r.t.Fatal(err)
	}
	if _, err := backup.Restore(r.t.Context(), kept, data, backup.RestoreOptions{Env: run.Quiet()}); err != nil {
		r.t.Fatal(err)
	}
	r.start()
}

func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

// write puts the files of a txtar archive below the rig's folder.
func (r *rig) write(archive string) {
	r.t.Helper()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(r.dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

// pack makes the archive of a folder as the command line does.
func (r *rig) pack(folder string) []byte {
	r.t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	dir := filepath.Join(r.dir, folder)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/data/") {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: rel, Mode: 0o644, Size: int64(len(body))}); err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		r.t.Fatal(err)
	}
	return b.Bytes()
}

var tester = weft.Subject{Kind: weft.SubjectPerson, ID: "test", Domains: []string{weft.AllDomains}}

// apply applies a folder and wants the outcome.
func (r *rig) apply(folder string, want serve.Outcome) *serve.ApplyResult {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := r.node.Apply(ctx, tester, serve.ApplyRequest{Archive: r.pack(folder), Dir: filepath.Join(r.dir, folder), Breaking: true}, nil)
	if err != nil {
		r.t.Fatalf("apply %s: %v (%s)", folder, err, weft.HintOf(err))
	}
	if res.Outcome != want {
		r.t.Fatalf("apply %s: %s, want %s: %s %+v", folder, res.Outcome, want, res.Message, res.Faults)
	}
	return res
}

// refresh reads the sources of a product and wants the outcome.
func (r *rig) refresh(name string, want serve.Outcome) *serve.RefreshResult {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := r.node.Refresh(ctx, tester, mustName(r.t, name), serve.RefreshRequest{Wait: true}, nil)
	if err != nil {
		r.t.Fatalf("refresh %s: %v (%s)", name, err, weft.HintOf(err))
	}
	if res.Outcome != want {
		r.t.Fatalf("refresh %s: %s, want %s: %s", name, res.Outcome, want, res.Message)
	}
	return res
}

func mustName(t *testing.T, s string) weft.Name {
	t.Helper()
	n, err := weft.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ask returns the answer as CSV without its header, and the cut.
func (r *rig) ask(sql string, at ...string) string {
	r.t.Helper()
	text, _, err := r.query(sql, at...)
	if err != nil {
		r.t.Fatalf("%s: %v (%s)", sql, err, weft.HintOf(err))
	}
	return text
}

func (r *rig) query(sql string, at ...string) (string, weft.Cut, error) {
	r.t.Helper()
	q := weft.Question{SQL: sql, Subject: tester}
	if len(at) > 0 {
		a, err := serve.ParseAt(at[0])
		if err != nil {
			r.t.Fatal(err)
		}
		q.At = a
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ans, err := r.node.reader.Query(ctx, q)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = ans.Close() }()
	var b bytes.Buffer
	if _, err := serve.Encode(&b, serve.FormatCSV, ans); err != nil {
		return "", nil, err
	}
	_, rows, _ := strings.Cut(strings.ReplaceAll(b.String(), "\r\n", "\n"), "\n")
	return strings.TrimSpace(rows), ans.Cut, nil
}

func (r *rig) want(sql, want string, at ...string) {
	r.t.Helper()
	if got := r.ask(sql, at...); got != strings.TrimSpace(want) {
		r.t.Fatalf("%s %v\n got: %s\nwant: %s", sql, at, got, want)
	}
}

// state is the product's line in status.
func (r *rig) state(name string) serve.ProductSummary {
	r.t.Helper()
	list, err := r.node.List(context.Background(), tester)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range list {
		if s.Name.String() == name {
			return s
		}
	}
	r.t.Fatalf("status does not name %s", name)
	return serve.ProductSummary{}
}

// eventually polls until ok, for what a loop of the node does by itself.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			r.t.Fatal("never came: ", what)
		case <-tick.C:
		}
	}
}

// shop is an invented product that passes a CSV through.
const shop = `
-- shop/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: sales.shop
name: shop
domain: sales
status: active
description: {purpose: Invented orders.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: shop, version: 1.0.0, contractId: sales.shop/source}]
outputPorts: [{name: shop, version: 1.0.0, contractId: sales.shop/shop, type: tables, customProperties: [{property: weftReaders, value: [insights]}]}]
-- shop/source.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.shop/source
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 1, unit: d}]
servers: [{server: files, type: local, path: data/shop.csv, format: csv}]
-- shop/shop.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.shop/shop
version: 1.0.0
status: active
schema:
  - name: shop
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: item, logicalType: string, physicalType: text, required: true}
      - {name: price, logicalType: number, physicalType: "decimal(10,2)", logicalTypeOptions: {minimum: 0}}
-- shop/data/shop.csv --
id,item,price
1,pen,1.50
2,ink,7.25
3,pad,3.00
`

// sums is made from shop by SQL.
const sums = `
-- sums/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: insights.sums
name: sums
domain: insights
status: active
description: {purpose: What invented orders come to.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: shop, version: 1.0.0, contractId: sales.shop/shop, customProperties: [{property: weftProduct, value: sales.shop}]}]
outputPorts: [{name: sums, version: 1.0.0, contractId: insights.sums/sums, type: tables}]
-- sums/sums.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: insights.sums/sums
version: 1.0.0
status: active
schema:
  - name: sums
    logicalType: object
    properties:
      - {name: orders, logicalType: integer, physicalType: bigint, required: true}
      - {name: value, logicalType: number, physicalType: "decimal(12,2)"}
-- sums/sums.sql --
SELECT count(*) AS orders, sum(price) AS value FROM shop
`

func (r *rig) csv(rows string) {
	r.t.Helper()
	r.write("-- shop/data/shop.csv --\nid,item,price\n" + strings.TrimSpace(rows) + "\n")
}

func TestSpine(t *testing.T) {
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.want("SELECT * FROM sales.shop ORDER BY id", "1,pen,1.50\n2,ink,7.25\n3,pad,3.00")
	r.apply("sums", serve.OutcomeCommitted)
	r.want("SELECT * FROM insights.sums", "3,11.75")

	r.refresh("sales.shop", serve.OutcomeUnchanged)
	if s := r.state("sales.shop"); s.Seq != 2 {
		t.Fatalf("an unchanged source made commit %s", s.Seq)
	}
	r.csv("1,pen,1.50\n2,ink,8.25\n4,cup,5.00")
	res := r.refresh("sales.shop", serve.OutcomeCommitted)
	if c := res.Commit.Tables[0]; c.Op != weft.OpMerge || c.Inserted != 1 || c.Updated != 1 || c.Deleted != 1 {
		t.Fatalf("the commit is %+v", c)
	}
	r.want("SELECT * FROM sales.shop ORDER BY id", "1,pen,1.50\n2,ink,8.25\n4,cup,5.00")
	r.want("SELECT count(*), sum(price) FROM sales.shop", "3,11.75", "sales.shop#2")
	r.want("SELECT a.price, b.price FROM sales.shop a JOIN sales.shop b AT (VERSION => 2) USING (id) WHERE id = 2", "8.25,7.25")
	r.eventually("the product made from it follows", func() bool { return r.ask("SELECT value FROM insights.sums") == "14.75" })

	_, cut, err := r.query("SELECT 1 FROM sales.shop")
	if err != nil {
		t.Fatal(err)
	}
	r.csv("9,mug,2.00")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.want("SELECT count(*) FROM sales.shop", "3", cut.Token())
	r.restart()
	r.want("SELECT count(*) FROM sales.shop", "3", cut.Token())
	r.want("SELECT item FROM sales.shop", "mug")
}

func TestApplyTwiceChangesNothing(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("shop", serve.OutcomeUnchanged)
	r.restart()
	r.apply("shop", serve.OutcomeUnchanged)
}

func TestChangedCodeCommitsWhatDiffers(t *testing.T) {
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.write("-- sums/sums.sql --\nSELECT count(*) AS orders, sum(price) * 2 AS value FROM shop WHERE true\n")
	res := r.apply("sums", serve.OutcomeCommitted)
	if len(res.Differences) == 0 {
		t.Error("the changed SQL is no difference")
	}
	if res.Commit.Cause != weft.CauseCode {
		t.Errorf("the cause is %s", res.Commit.Cause)
	}
	r.want("SELECT value FROM insights.sums", "23.50")
	r.write("-- sums/sums.sql --\nSELECT count(*) AS orders, 2 * sum(price) AS value FROM shop\n")
	r.apply("sums", serve.OutcomeApplied) // other text, the same rows
	r.want("SELECT value FROM insights.sums", "23.50")
}

func TestRefusedKeepsTheLastGoodCommit(t *testing.T) {
	for _, c := range []struct{ name, rows, says string }{
		{"required", "1,pen,1.50\n2,,7.25", "item"},
		{"duplicate key", "1,pen,1.50\n1,ink,7.25", "id"},
		{"range", "1,pen,-1.50", "price"},
		{"type", "1,pen,dear", "price"},
		{"broken line", "1,pen,1.50\n2,ink,7.25,more,still more", "shop.csv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.write(shop)
			r.apply("shop", serve.OutcomeCommitted)
			r.csv(c.rows)
			res := r.refresh("sales.shop", serve.OutcomeRefused)
			if !strings.Contains(res.Message, c.says) {
				t.Errorf("the refusal does not say %q: %s", c.says, res.Message)
			}
			r.want("SELECT count(*) FROM sales.shop", "3")
			if s := r.state("sales.shop"); s.State != weft.StateRefused || s.Todo == "" || s.LastError == "" {
				t.Errorf("status says %s, to do %q, error %q", s.State, s.Todo, s.LastError)
			}
			r.csv("5,cap,9.00")
			r.refresh("sales.shop", serve.OutcomeCommitted)
			if s := r.state("sales.shop"); s.State != weft.StateFresh {
				t.Errorf("after good data status says %s", s.State)
			}
		})
	}
}

func TestDriftIsNamed(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	r.write("-- shop/data/shop.csv --\nid,article,price\n1,pen,1.50\n")
	res := r.refresh("sales.shop", serve.OutcomeRefused)
	if !strings.Contains(res.Message, "item") || !strings.Contains(res.Message, "article") {
		t.Errorf("the drift is not named: %s", res.Message)
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
}

func TestQuarantine(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	b, err := os.ReadFile(filepath.Join(r.dir, "shop/shop.odcs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	contract := strings.Replace(string(b), "    logicalType: object\n",
		"    logicalType: object\n    customProperties: [{property: weftOnViolation, value: quarantine}, {property: weftQuarantineLimit, value: 0.5}]\n", 1)
	if err := os.WriteFile(filepath.Join(r.dir, "shop/shop.odcs.yaml"), []byte(contract), 0o644); err != nil {
		t.Fatal(err)
	}
	r.csv("1,pen,1.50\n2,ink,-7.25\n3,pad,3.00\n4,,1.00\n5,cup,dear\n6,cap,1\n7,mug,2")
	r.apply("shop", serve.OutcomeCommitted)
	r.want("SELECT id FROM sales.shop ORDER BY id", "1\n3\n6\n7")
	q, err := r.node.Quarantine(context.Background(), tester, mustName(t, "sales.shop"), 10, weft.At{})
	if err != nil {
		t.Fatal(err)
	}
	if q.Held != 3 || len(q.Tables) != 1 || len(q.Tables[0].Rows) != 3 {
		t.Fatalf("held are %+v", q)
	}
	for _, row := range q.Tables[0].Rows {
		if len(row.Reasons) == 0 || row.Reasons[0] == "" {
			t.Errorf("a held row has no reason: %+v", row)
		}
	}
	wantTurn(t, r)
	ans, err := r.node.reader.Query(context.Background(), weft.Question{SQL: "SELECT 1 FROM sales.shop", Subject: tester})
	if err != nil {
		t.Fatal(err)
	}
	if ans.Held != 3 {
		t.Errorf("the answer says that %d rows are held back", ans.Held)
	}
	if err := ans.Close(); err != nil {
		t.Error(err)
	}
	r.csv("1,pen,1.50\n2,ink,7.25")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	if s := r.state("sales.shop"); s.Held != 0 {
		t.Errorf("%d rows are still held back", s.Held)
	}
}

// wantTurn holds that a look at what is held back waits for its turn among the
// questions of whoever asks.
func wantTurn(t *testing.T, r *rig) {
	t.Helper()
	soon := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), 300*time.Millisecond)
	}
	for {
		ctx, cancel := soon()
		s, err := r.node.pool.Session(ctx, engine.SessionConfig{Name: "all places", Lane: engine.LaneLight, Who: tester.Key(), Memory: 64 << 20, Threads: 1})
		cancel()
		if weft.AfterOf(err) > 0 {
			break
		}
		if err == nil { // else it was not ready in time
			defer func() { _ = s.Close() }()
		}
	}
	ctx, cancel := soon()
	defer cancel()
	if _, err := r.node.Quarantine(ctx, tester, mustName(t, "sales.shop"), 10, weft.At{}); weft.AfterOf(err) == 0 {
		t.Errorf("it takes the node's own place: %v", err)
	}
}

func TestLife(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	name := mustName(t, "sales.shop")
	if _, err := r.node.Pause(ctx, tester, name); err != nil {
		t.Fatal(err)
	}
	if _, err := r.node.Refresh(ctx, tester, name, serve.RefreshRequest{Wait: true}, nil); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a paused product was refreshed: %v", err)
	}
	if s := r.state("insights.sums"); s.State != weft.StateUpstreamStopped {
		t.Errorf("what is made from a paused product is %s", s.State)
	}
	r.csv("1,pen,1.50")
	if _, err := r.node.Resume(ctx, tester, name); err != nil {
		t.Fatal(err)
	}
	r.eventually("a resumed product reads what it missed", func() bool { return r.ask("SELECT count(*) FROM sales.shop") == "1" })
	if _, err := r.node.Rollback(ctx, tester, name, 2); err != nil {
		t.Fatal(err)
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
	r.refresh("sales.shop", serve.OutcomeUnchanged) // what was rolled back does not come back by itself
	if err := r.node.Delete(ctx, tester, name, name.String()); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a product that another is made from was deleted: %v", err)
	}
	head := r.state("sales.shop").Seq
	if _, err := r.node.Retire(ctx, tester, name); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.query("SELECT 1 FROM sales.shop"); weft.KindOf(err) != weft.KindGone {
		t.Errorf("a retired product was read: %v", err)
	}
	r.want("SELECT count(*) FROM sales.shop", "3", "sales.shop"+head.String())
	r.restart()
	if s := r.state("sales.shop"); s.State != weft.StateRetired {
		t.Errorf("after a restart it is %s", s.State)
	}
	if _, err := r.node.Retire(ctx, tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	if err := r.node.Delete(ctx, tester, name, "sales.shopp"); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("deleted without confirmation: %v", err)
	}
	if err := r.node.Delete(ctx, tester, name, name.String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.query("SELECT 1 FROM sales.shop"); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("a deleted product was found: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, ".weft/products/*")); err != nil || len(left) != 1 {
		t.Errorf("data of the deleted product is left: %v %v", left, err)
	}
}

func TestSecondNodeIsRefused(t *testing.T) {
	r := newRig(t)
	n, err := New(r.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(context.Background()); weft.KindOf(err) != weft.KindConflict || weft.HintOf(err) == "" {
		t.Fatalf("a second node on one data folder: %v", err)
	}
}

func TestWatchedFile(t *testing.T) {
	r := newRig(t)
	r.write(strings.Replace(shop, "slaProperties: [{property: frequency, value: 1, unit: d}]\n", "", 1))
	r.apply("shop", serve.OutcomeCommitted)
	r.csv("1,pen,1.50\n2,ink,2.50")
	r.eventually("the changed file is read", func() bool { return r.ask("SELECT count(*) FROM sales.shop") == "2" })
}

func TestSourceLost(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	if err := os.Rename(filepath.Join(r.dir, "shop/data/shop.csv"), filepath.Join(r.dir, "gone.csv")); err != nil {
		t.Fatal(err)
	}
	_, err := r.node.Refresh(context.Background(), tester, mustName(t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil)
	if weft.KindOf(err) != weft.KindUnavailable {
		t.Fatalf("the source is gone: %v", err)
	}
	if s := r.state("sales.shop"); s.State != weft.StateSourceLost || s.Todo == "" {
		t.Errorf("status says %s, to do %q", s.State, s.Todo)
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
}

func TestFaultyFolderChangesNothing(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	r.write("-- shop/policy.yaml --\n- allow: read\n")
	res := r.apply("shop", serve.OutcomeFaults)
	found := false
	for _, f := range res.Faults {
		found = found || f.Rule == "policy-not-enforced"
	}
	if !found {
		t.Errorf("a policy that nothing enforces was taken: %+v", res.Faults)
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
}

func TestQueriesThatMayNotRun(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	for sql, kind := range map[string]weft.Kind{
		"SELECT * FROM 'shop/data/shop.csv'":                                      weft.KindNotFound,
		"SELECT * FROM read_csv('/etc/passwd')":                                   weft.KindInvalid,
		"SELECT * FROM sales.shop; SELECT 1":                                      weft.KindInvalid,
		"DROP TABLE sales.shop":                                                   weft.KindInvalid,
		"SELECT * FROM sales.shopp":                                               weft.KindNotFound,
		"SELECT * FROM sales.shop._quarantine":                                    weft.KindNotFound,
		"SELECT * FROM shop":                                                      weft.KindNotFound,
		"SELECT nothing FROM sales.shop":                                          weft.KindInvalid,
		"SELECT * FROM sales.shop AT (VERSION => 99)":                             weft.KindNotFound,
		"SELECT " + strings.Repeat("(", 20000) + "1" + strings.Repeat(")", 20000): weft.KindLimit,
	} {
		_, _, err := r.query(sql)
		if weft.KindOf(err) != kind {
			t.Errorf("%.60s: %v, kind %s, want %s", sql, err, weft.KindOf(err), kind)
		}
		if err != nil && weft.HintOf(err) == "" {
			t.Errorf("%.60s: no hint in %v", sql, err)
		}
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
}

func TestQueryThatNeverEnds(t *testing.T) {
	r := newRig(t)
	began := time.Now()
	_, err := r.node.reader.Query(context.Background(), weft.Question{
		SQL: "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n % 7 FROM r) SELECT count(*) FROM r", Subject: tester,
		Limits: weft.Limits{Deadline: 500 * time.Millisecond},
	})
	if k := weft.KindOf(err); k != weft.KindLimit && k != weft.KindInvalid {
		t.Fatalf("it ended with %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %s to stop", d)
	}
}

func ExampleConfig_Validate() {
	err := Config{Data: "relative", Listen: "nowhere"}.Validate()
	fmt.Println(err)
	// Output:
	// check the configuration data: the data folder must be an absolute path, not "relative"
	// check the configuration listen: "nowhere" is no address: write it like 127.0.0.1:7070
}

// mixed is made by SQL from files of its own.
const mixed = `
-- mixed/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: sales.mixed
name: mixed
domain: sales
status: active
description: {purpose: Invented orders with their lines.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: raw, version: 1.0.0, contractId: sales.mixed/raw}]
outputPorts: [{name: mixed, version: 1.0.0, contractId: sales.mixed/mixed, type: tables}]
-- mixed/raw.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.mixed/raw
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 1, unit: d}]
servers: [{server: files, type: local, path: "data/{table}.csv", format: csv, customProperties: [{property: weftMode, value: MODE}]}]
schema:
  - name: heads
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: shop, logicalType: string, physicalType: text}
  - {name: lines}
-- mixed/mixed.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.mixed/mixed
version: 1.0.0
status: active
schema:
  - name: mixed
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: shop, logicalType: string, physicalType: text}
      - {name: value, logicalType: number, physicalType: "decimal(12,2)"}
-- mixed/mixed.sql --
SELECT h.id, h.shop, sum(l.price) AS value FROM raw.heads h LEFT JOIN raw.lines l ON l.head = h.id GROUP BY ALL
-- mixed/data/heads.csv --
id,shop
1,Bonn
2,Mainz
-- mixed/data/lines.csv --
head,price,note
1,1.50,a
1,2.00,b
2,9.99,c
`

func TestInputsOfSQL(t *testing.T) {
	r := newRig(t)
	r.write(strings.ReplaceAll(mixed, "MODE", "snapshot"))
	r.apply("mixed", serve.OutcomeCommitted)
	r.want("SELECT * FROM sales.mixed ORDER BY id", "1,Bonn,3.50\n2,Mainz,9.99")
	// The contract of heads says that id is a number: a row that is none refuses.
	r.write("-- mixed/data/heads.csv --\nid,shop\n1,Bonn\nx,Mainz\n")
	if res := r.refresh("sales.mixed", serve.OutcomeRefused); !strings.Contains(res.Message, "heads") {
		t.Errorf("the refusal does not name the input table: %s", res.Message)
	}
	// lines has no contract but the SQL: head and price are expected.
	r.write("-- mixed/data/heads.csv --\nid,shop\n1,Bonn\n2,Mainz\n-- mixed/data/lines.csv --\nhead,cost\n1,1.50\n")
	if res := r.refresh("sales.mixed", serve.OutcomeRefused); !strings.Contains(res.Message, "price") {
		t.Errorf("the drift does not name the column that the SQL uses: %s", res.Message)
	}
	// One of two files changes.
	r.write("-- mixed/data/lines.csv --\nhead,price,note\n1,1.50,a\n2,9.99,c\n")
	res := r.refresh("sales.mixed", serve.OutcomeCommitted)
	for _, c := range res.Commit.Tables {
		if c.Table == "mixed" && (c.Updated != 1 || c.Inserted != 0 || c.Deleted != 0) {
			t.Errorf("the commit is %+v", c)
		}
	}
	// Changed SQL runs again over what is kept, without the source.
	if err := os.RemoveAll(filepath.Join(r.dir, "mixed/data/gone")); err != nil {
		t.Fatal(err)
	}
	r.write("-- mixed/mixed.sql --\nSELECT h.id, h.shop, 2 * sum(l.price) AS value FROM raw.heads h LEFT JOIN raw.lines l ON l.head = h.id GROUP BY ALL\n")
	r.apply("mixed", serve.OutcomeCommitted)
	r.want("SELECT * FROM sales.mixed ORDER BY id", "1,Bonn,3.00\n2,Mainz,19.98")
}

func TestAppendAndUpsert(t *testing.T) {
	for _, mode := range []string{"append", "upsert"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t)
			r.write(strings.NewReplacer("path: data/shop.csv, format: csv", "path: data/*.csv, format: csv, customProperties: [{property: weftMode, value: "+mode+"}]").Replace(shop))
			r.apply("shop", serve.OutcomeCommitted)
			r.want("SELECT count(*) FROM sales.shop", "3")
			second := "4,cup,5.00\n5,cap,6.00"
			if mode == "upsert" {
				second = "3,pad,3.33\n5,cap,6.00"
			}
			r.write("-- shop/data/two.csv --\nid,item,price\n" + second + "\n")
			c := r.refresh("sales.shop", serve.OutcomeCommitted).Commit.Tables[0]
			if mode == "append" {
				if c.Op != weft.OpAppend || c.Inserted != 2 {
					t.Errorf("the commit is %+v", c)
				}
				r.want("SELECT count(*), sum(price) FROM sales.shop", "5,22.75")
			} else {
				if c.Op != weft.OpMerge || c.Inserted != 1 || c.Updated != 1 {
					t.Errorf("the commit is %+v", c)
				}
				r.want("SELECT count(*), sum(price) FROM sales.shop", "4,18.08")
			}
			r.refresh("sales.shop", serve.OutcomeUnchanged)
			// A file that is gone takes no row with it.
			if err := os.Remove(filepath.Join(r.dir, "shop/data/shop.csv")); err != nil {
				t.Fatal(err)
			}
			r.refresh("sales.shop", serve.OutcomeUnchanged)
			r.restart()
			r.refresh("sales.shop", serve.OutcomeUnchanged)
		})
	}
}

// TestLockWaits: what a killed node leaves behind holds the folder for a moment; another
// node holds it for good.
func TestLockWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	first, second := open(), open()
	if err := lock(first, 0); err != nil {
		t.Fatal(err)
	}
	if err := lock(second, 50*time.Millisecond); err == nil {
		t.Error("two have the lock")
	}
	got := make(chan error, 1)
	go func() { got <- lock(second, time.Minute) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}
