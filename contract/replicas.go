package contract

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A copy outlives its origin's silence by a day where nothing else is said, and by
// longest at most.
const (
	defaultReplica = 24 * time.Hour
	longestReplica = 90 * 24 * time.Hour
)

// A hold lasts for 30 days where nothing else is said, and for longest at most.
const (
	defaultHold = 30 * 24 * time.Hour
	longestHold = 3650 * 24 * time.Hour
)

// consent reads {domains: [finance], for: 24h}; ok is false where it is not that.
func consent(n *yaml.Node, initial, longest time.Duration) (c Replicas, ok bool) {
	if n.Kind != yaml.MappingNode {
		return c, false
	}
	c.For = initial
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		switch n.Content[i].Value {
		case "domains":
			if v.Kind != yaml.ScalarNode && v.Kind != yaml.SequenceNode {
				return c, false
			}
			c.Domains = textsOf(v)
		case "for":
			if c.For, ok = length(scalar(v)); !ok || c.For > longest {
				return c, false
			}
		default:
			return c, false
		}
	}
	return c, len(c.Domains) > 0 && !slices.Contains(c.Domains, "")
}

// length reads 0, 90m, 24h or 7d.
func length(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// readReplicas reads what customs has found to be a consent.
func (r *reader) readReplicas(n *yaml.Node) *Replicas {
	c, _ := consent(n, defaultReplica, longestReplica)
	r.checkDomains(n, c.Domains)
	return &c
}

// readHolds reads what customs has found to be a consent to holds.
func (r *reader) readHolds(n *yaml.Node) *Holds {
	c, _ := consent(n, defaultHold, longestHold)
	r.checkDomains(n, c.Domains)
	return &Holds{Domains: c.Domains, For: c.For}
}
