package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weft"
	"weft/serve"
	"weft/serve/client"
)

var killCount = flag.Int("kills", 0, "how many processes TestKill kills; 0 is its own number")

// killed are the products of TestKill: each is rewritten again and again, all its
// rows at once, so that every state of it has rows of one generation only.
var killed = []string{"ada", "bob"}

const killFolder = `-- %[1]s/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: kill.%[1]s
name: %[1]s
domain: kill
status: active
description: {purpose: Invented rows.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: %[1]s, version: 1.0.0, contractId: kill.%[1]s/source}]
outputPorts: [{name: %[1]s, version: 1.0.0, contractId: kill.%[1]s/%[1]s, type: tables}]
-- %[1]s/source.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: kill.%[1]s/source
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 30, unit: d}]
servers: [{server: files, type: local, path: data/rows.csv, format: csv}]
-- %[1]s/%[1]s.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: kill.%[1]s/%[1]s
version: 1.0.0
status: active
schema:
  - name: %[1]s
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: generation, logicalType: integer, physicalType: bigint, required: true}
`

// killRows is how many rows a generation has.
func killRows(generation int) int { return 1 + generation*7%40 }

// program is a node under test: `weft up` as a process of its own.
type program struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	client *client.Client

	mu    sync.Mutex
	acked map[string]map[weft.Seq]int // generation by product and commit
	next  map[string]int              // generation to be written next

	committed chan struct{} // one for a commit that nobody has waited for yet
}

// TestKill kills the node, and its workers, with -9 while products are loaded and
// asked: what was acknowledged is there, whole and once, and no answer is torn.
func TestKill(t *testing.T) {
	n := 50
	if testing.Short() {
		n = 10
	}
	if *killCount > 0 {
		n = *killCount
	}
	p := &program{t: t, dir: t.TempDir(), acked: map[string]map[weft.Seq]int{}, next: map[string]int{}, committed: make(chan struct{}, 1)}
	for _, name := range killed {
		p.acked[name] = map[weft.Seq]int{}
		p.write(name, 0)
		for _, f := range strings.Split(fmt.Sprintf(killFolder, name), "-- ")[1:] {
			file, body, _ := strings.Cut(f, " --\n")
			if err := os.WriteFile(filepath.Join(p.dir, file), []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(5, 5))
	kills := 0
	for kills < n {
		p.start()
		kills += p.trouble(rnd, min(4, n-kills-1)) + 1
		if t.Failed() {
			return
		}
	}
	p.start()
	p.check()
	p.end(syscall.SIGTERM)
	if out, err := exec.Command("weft", "verify", p.dir).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	total := 0
	for _, name := range killed {
		total += len(p.acked[name])
	}
	if total < n/2 {
		t.Errorf("only %d commits were acknowledged", total)
	}
	t.Logf("%d kills, %d commits acknowledged", kills, total)
}

func (p *program) write(name string, generation int) {
	path := filepath.Join(p.dir, name, "data", "rows.csv")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Error(err)
	}
	var b strings.Builder
	b.WriteString("id,generation\n")
	for i := range killRows(generation) {
		fmt.Fprintf(&b, "%d,%d\n", i, generation)
	}
	if err := errors.Join(os.WriteFile(path+".new", []byte(b.String()), 0o600), os.Rename(path+".new", path)); err != nil {
		p.t.Error(err)
	}
}

// start starts the node and waits until it answers; the first one applies.
func (p *program) start() {
	p.t.Helper()
	data := filepath.Join(p.dir, ".weft")
	_ = os.Remove(filepath.Join(data, "node.json")) // of the one that was killed
	out, err := os.Create(filepath.Join(p.dir, "up.log"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	p.cmd = exec.Command("weft", "up", p.dir, "--listen", "127.0.0.1:0")
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.connect(ctx, data)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(out.Name())
			p.t.Fatalf("the node does not answer: %v\n%s", err, log)
		case <-tick.C:
		}
	}
}

func (p *program) connect(ctx context.Context, data string) error {
	b, err := os.ReadFile(filepath.Join(data, "node.json"))
	if err != nil {
		return err
	}
	var at struct{ URL string }
	if err := json.Unmarshal(b, &at); err != nil {
		return err
	}
	token, err := client.ReadToken(filepath.Join(data, "token"))
	if err != nil {
		return err
	}
	if p.client, err = client.New(client.Config{URL: at.URL, Token: token}); err != nil {
		return err
	}
	if err := p.client.Ready(ctx); err != nil {
		return err
	}
	for _, name := range killed { // applied, and loaded once
		if _, err := p.rows(ctx, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// rows asks for a product's state and checks that it is one generation, whole.
func (p *program) rows(ctx context.Context, name, at string) (generation int, err error) {
	s, err := p.client.QueryAs(ctx, serve.QueryRequest{
		SQL: "SELECT count(*), count(DISTINCT id), min(generation), max(generation) FROM kill." + name, At: at,
	}, serve.FormatCSV)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	b, err := io.ReadAll(s)
	if err != nil {
		return 0, err
	}
	lines := strings.Fields(string(b))
	if len(lines) < 2 {
		return 0, fmt.Errorf("the answer is %q", b)
	}
	var v [4]int
	for i, cell := range strings.Split(lines[len(lines)-1], ",") {
		if v[i], err = strconv.Atoi(cell); err != nil {
			return 0, fmt.Errorf("the answer is %q", b)
		}
	}
	if v[0] != v[1] || v[2] != v[3] || v[0] != killRows(v[2]) {
		p.t.Errorf("kill.%s %s has %d rows with %d ids of the generations %d to %d", name, at, v[0], v[1], v[2], v[3])
	}
	return v[2], nil
}

// trouble loads and asks while workers are killed, and then the node.
func (p *program) trouble(rnd *rand.Rand, workers int) (kills int) {
	p.check()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, name := range killed {
		all.Go(func() { p.load(ctx, name) })
		all.Go(func() {
			for ctx.Err() == nil {
				_, _ = p.rows(ctx, name, "") // a worker or the node may be killed meanwhile
			}
		})
	}
	select {
	case <-p.committed: // of the round before
	default:
	}
	for range workers {
		time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
		kids := children(p.cmd.Process.Pid)
		if len(kids) == 0 {
			continue
		}
		if syscall.Kill(kids[rnd.IntN(len(kids))], syscall.SIGKILL) == nil {
			kills++
		}
	}
	// The node is killed some time after a commit was acknowledged: within the next.
	select {
	case <-p.committed:
	case <-time.After(time.Minute): // on a machine that does much else, too
		p.t.Errorf("nothing was committed for a minute; the node then did:\n%s", p.stacks())
	}
	time.Sleep(time.Duration(rnd.IntN(120)) * time.Millisecond)
	p.end(syscall.SIGKILL)
	cancel()
	all.Wait()
	return kills
}

// stacks ends the node, and gives what its goroutines did.
func (p *program) stacks() string {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err.Error()
	}
	_ = p.cmd.Wait()
	b, err := os.ReadFile(filepath.Join(p.dir, "up.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *program) end(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	_ = p.cmd.Wait() // it was killed, or says nothing
	p.client.Close()
}

// children are the processes that a process has started: the workers.
func children(pid int) []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var out []int
	for _, s := range strings.Fields(string(b)) {
		if kid, err := strconv.Atoi(s); err == nil {
			out = append(out, kid)
		}
	}
	return out
}

// load writes one generation after the other and remembers those whose commit
// was acknowledged.
func (p *program) load(ctx context.Context, name string) {
	for ctx.Err() == nil {
		p.mu.Lock()
		p.next[name]++
		generation := p.next[name]
		p.mu.Unlock()
		p.write(name, generation)
		res, err := p.client.Refresh(ctx, weft.Name{Domain: "kill", Product: name}, serve.RefreshRequest{Wait: true}, nil)
		if err == nil && res.Outcome == serve.OutcomeCommitted && res.Commit != nil {
			p.mu.Lock()
			p.acked[name][res.Commit.Seq] = generation
			p.mu.Unlock()
			select {
			case p.committed <- struct{}{}:
			default:
			}
		}
	}
}

// check asks for every commit that was acknowledged lately, and for the head.
func (p *program) check() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, name := range killed {
		var last weft.Seq
		for seq := range p.acked[name] {
			last = max(last, seq)
		}
		for seq := last; seq > 0 && seq+4 > last; seq-- {
			want, ok := p.acked[name][seq]
			if !ok {
				continue
			}
			got, err := p.rows(ctx, name, fmt.Sprintf("kill.%s#%d", name, uint64(seq)))
			if err != nil || got != want {
				p.t.Errorf("kill.%s%s is of generation %d, acknowledged was %d: %v", name, seq, got, want, err)
			}
		}
		got, err := p.rows(ctx, name, "")
		if err != nil || got < p.acked[name][last] {
			p.t.Errorf("kill.%s is of generation %d, acknowledged was %d: %v", name, got, p.acked[name][last], err)
		}
	}
}
