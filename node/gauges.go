package node

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weft"
	"weft/serve"
)

// gauges gives what can be seen of the node at the moment it is asked.
type gauges struct {
	n *Node

	mu     sync.Mutex
	sized  time.Time // when the disk was last walked
	onDisk map[string]int64
}

// sizesEvery is how often the data folder is walked for its size at most: with
// thousands of products that takes a while.
const sizesEvery = 15 * time.Second

func gaugeDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// gaugeDescs describe the gauges; the collector is the only user.
type gaugeDescs struct {
	products, workers, running, waiting, work, stored, free, reserve, ready *prometheus.Desc
	started, ended, tailRows, tailBytes, laneRunning, laneWaiting, granted  *prometheus.Desc
}

func newGaugeDescs() gaugeDescs {
	return gaugeDescs{
		products: gaugeDesc("weft_products", "Products by state.", "state"),
		workers:  gaugeDesc("weft_workers", "Worker processes that live, by what they do: busy or idle.", "state"),
		started:  gaugeDesc("weft_workers_started_total", "Worker processes that were started."),
		ended: gaugeDesc("weft_workers_ended_total", "Worker processes that are gone, by reason: retired (not needed any more), closed (whoever asked left), "+
			"deadline (did not stop in time), spill (wrote too much to its temp folder), memory (ran out of it), crashed (by itself, or killed from outside).", "reason"),
		laneRunning: gaugeDesc("weft_lane_running", "Sessions that hold a place, by lane: light (questions that are answered soon), own (loads and folds), heavy (other questions).", "lane"),
		laneWaiting: gaugeDesc("weft_lane_waiting", "Sessions that wait for a place, by lane.", "lane"),
		granted:     gaugeDesc("weft_memory_granted_bytes", "Memory that those who hold a place may use."),
		tailRows:    gaugeDesc("weft_store_tail_rows", "Rows of commits that are in no data file yet and held in memory."),
		tailBytes:   gaugeDesc("weft_store_tail_bytes", "Bytes of these rows."),
		running:     gaugeDesc("weft_questions_running", "Questions that run."),
		waiting:     gaugeDesc("weft_questions_waiting", "Questions that wait for a worker."),
		work:        gaugeDesc("weft_work_running", "Questions, loads and other work that a stop would wait for."),
		stored:      gaugeDesc("weft_data_bytes", "Size of the data folder, by part: journal, files, books.", "part"),
		free:        gaugeDesc("weft_disk_free_bytes", "Space left on the data folder's file system."),
		reserve:     gaugeDesc("weft_disk_reserve_bytes", "Space below which the node is not ready (disk.reserve)."),
		ready:       gaugeDesc("weft_ready", "1 while the node takes questions and loads."),
	}
}

// Describe sends nothing: what there is depends on the node's state.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect sends the figures of now.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	d := newGaugeDescs()
	send := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	for state, count := range g.n.states() {
		send(d.products, float64(count), strings.ReplaceAll(string(state), " ", "_"))
	}
	live, idle := g.n.pool.Workers()
	send(d.workers, float64(live-idle), "busy")
	send(d.workers, float64(idle), "idle")
	counts := g.n.pool.Counts()
	total := func(desc *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	total(d.started, counts.Started)
	for why, n := range counts.Ended {
		total(d.ended, n, string(why))
	}
	now := g.n.pool.Division()
	for lane, running := range now.Running {
		send(d.laneRunning, float64(running), lane.String())
		send(d.laneWaiting, float64(now.Waiting[lane]), lane.String())
	}
	send(d.granted, float64(now.Used.Memory))
	rows, bytes := g.n.tails()
	send(d.tailRows, float64(rows))
	send(d.tailBytes, float64(bytes))
	send(d.running, float64(g.n.reader.Running()))
	send(d.waiting, float64(g.n.reader.Waiting()))
	_, running := g.n.work.state()
	send(d.work, float64(running))
	for part, size := range g.sizes() {
		send(d.stored, float64(size), part)
	}
	send(d.free, float64(g.n.cfg.free(g.n.cfg.Data)))
	send(d.reserve, float64(g.n.conf().DiskReserve))
	g.n.collectMesh(send)
	ready := 0.0
	if g.n.readiness().Ready {
		ready = 1
	}
	send(d.ready, ready)
}

// sizes adds up the data folder by part, at most every sizesEvery.
func (g *gauges) sizes() map[string]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); g.onDisk == nil || now.Sub(g.sized) >= sizesEvery {
		g.sized, g.onDisk = now, map[string]int64{"journal": 0, "files": 0, "books": 0}
		_ = filepath.WalkDir(g.n.cfg.Data, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil // what vanishes meanwhile does not count
			}
			if i, err := e.Info(); err == nil {
				if part := partOf(path); part != "" {
					g.onDisk[part] += i.Size()
				}
			}
			return nil
		})
	}
	return g.onDisk
}

// partOf says which part of the data folder a file is of.
func partOf(path string) string {
	switch dir := filepath.Base(filepath.Dir(path)); {
	case strings.HasPrefix(filepath.Base(path), "books.db"):
		return "books"
	case dir == "journal", dir == "files":
		return dir
	}
	return ""
}

// states counts the products by their state, those of no product too.
func (n *Node) states() map[weft.State]int {
	out := map[weft.State]int{}
	for _, s := range weft.States() {
		out[s] = 0
	}
	for _, p := range n.all() {
		out[p.stateNow()]++
	}
	return out
}

// tails adds up what the open stores hold in memory.
func (n *Node) tails() (rows, bytes int64) {
	for _, p := range n.all() {
		p.mu.Lock()
		s := p.store
		p.mu.Unlock()
		if s != nil {
			r, b := s.TailSize()
			rows, bytes = rows+r, bytes+b
		}
	}
	return rows, bytes
}

// stateNow is the product's state as far as the node knows it without a look at
// the disk.
func (p *product) stateNow() weft.State {
	p.mu.Lock()
	broken, published, seen, open := p.broken, !p.lastOK.IsZero(), p.seen, p.store
	p.mu.Unlock()
	switch {
	case weft.KindOf(broken) == weft.KindCorrupt, seen != nil && seen.Damage != "", open != nil && damage(open) != "":
		return weft.StateDamaged
	case broken != nil:
		return weft.StateUnreachable
	}
	s := serve.ProductSummary{}
	if published {
		s.Tables = []string{p.name().String()}
	}
	state, _ := p.state(&s)
	return state
}
