package peer

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// measure registers what the network counts.
func (n *network) measure(to prometheus.Registerer) {
	if to == nil {
		return
	}
	count := func(name, help, outcome string, of *atomic.Int64) {
		o := prometheus.CounterOpts{Name: name, Help: help}
		if outcome != "" {
			o.ConstLabels = prometheus.Labels{"outcome": outcome}
		}
		promauto.With(to).NewCounterFunc(o, func() float64 { return float64(of.Load()) })
	}
	count("weft_mesh_received_bytes_total", "Bytes from other nodes of the mesh.", "", &n.traffic.in)
	count("weft_mesh_sent_bytes_total", "Bytes to other nodes of the mesh.", "", &n.traffic.out)
	for outcome, of := range map[string]*atomic.Int64{
		"sent": &n.stats.sent, "came": &n.stats.came, "repeated": &n.stats.repeated, "dropped": &n.stats.dropped, "refused": &n.stats.refused, "throttled": &n.stats.throttled,
	} {
		count("weft_mesh_pushed_total", "Records pushed over links: sent, came, and of those that came how many were there already, above their signer's rate, refused, or made to wait.", outcome, of)
	}
	count("weft_mesh_pulled_total", "Records that were new when they were asked for.", "", &n.stats.pulled)
	count("weft_mesh_behind_total", "Times a link was too slow for what was pushed, so that its other side had to ask.", "", &n.stats.behind)
	count("weft_mesh_turned_away_total", "Connections that proved no key of the mesh.", "", &n.stats.turnedAway)
}
