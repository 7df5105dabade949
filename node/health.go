package node

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"

	"weft/serve"
)

// Ready says whether the node takes questions and loads, and if not, why.
func (n *Node) Ready(context.Context) serve.Readiness { return n.readiness() }

func (n *Node) readiness() serve.Readiness {
	var r serve.Readiness
	no := func(code serve.NotReady, format string, args ...any) {
		r.Reasons = append(r.Reasons, serve.Reason{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	n.mu.RLock()
	running, closed := n.running != nil, n.closed
	n.mu.RUnlock()
	stopping, busy := n.work.state()
	switch {
	case closed || stopping && busy == 0:
		no(serve.NotReadyStopping, "the node has stopped taking questions and loads")
	case stopping:
		no(serve.NotReadyStopping, "the node is stopping and waits for what runs: %d", busy)
	case !running:
		what := ""
		if s := n.opening.Load(); s != nil {
			what = ": " + *s
		}
		no(serve.NotReadyStarting, "the node is starting%s", what)
	}
	// Who asks here shows no token: where the data is, is not said.
	if free := n.cfg.free(n.cfg.Data); free < n.conf().DiskReserve {
		no(serve.NotReadyDisk, "%s are free on the data folder's disk, %s are to stay free (disk.reserve)",
			humanize.IBytes(uint64(max(free, 0))), humanize.IBytes(uint64(n.conf().DiskReserve)))
	}
	r.Ready = len(r.Reasons) == 0
	return r
}
