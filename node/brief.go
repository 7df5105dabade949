package node

import (
	"time"

	"weft"
	"weft/contract"
)

// brief is what the node has to know of a product that nobody uses: enough to
// list it and to know when to read its sources, without its folder and its store.
type brief struct {
	Form     int             `json:"form"` // briefForm, of the one that wrote it
	Purpose  string          `json:"purpose,omitempty"`
	Owner    string          `json:"owner,omitempty"`
	Life     weft.Life       `json:"life,omitempty"`
	Tags     []string        `json:"tags,omitempty"`
	Upstream []weft.Name     `json:"upstream,omitempty"` // products that it is made from
	Sources  bool            `json:"sources,omitempty"`  // it reads sources of its own
	Latency  []time.Duration `json:"latency,omitempty"`  // promised, by output
	Paces    []pace          `json:"paces,omitempty"`
	Local    []string        `json:"local,omitempty"` // paths of sources that are read when they change
	Ask      string          `json:"ask,omitempty"`   // where to ask its owner
	Grants   []grant         `json:"grants,omitempty"`
	Reads    []datasetRead   `json:"reads,omitempty"` // what its own sources are to others
}

// briefForm says what a brief holds: one of another form is made anew from the
// folder.
const briefForm = 3

// grant is who may read the tables of one output port, besides the own domain.
type grant struct {
	Port    string   `json:"port"`
	Tables  []string `json:"tables,omitempty"`
	Readers []string `json:"readers,omitempty"`
	// Copies is the consent to copies at other nodes, nil for none.
	Copies *weft.CardReplicas `json:"copies,omitempty"`
	// Holds is the consent to holds on the history, nil for none.
	Holds *holdGrant `json:"holds,omitempty"`
}

// holdGrant is who may hold the history in place, besides the own domain.
type holdGrant struct {
	Domains []string      `json:"domains"`
	For     time.Duration `json:"for"` // at most
}

// pace is how often something is to be read.
type pace struct {
	Schedule  string        `json:"schedule,omitempty"`
	Frequency time.Duration `json:"frequency,omitempty"`
}

func briefOf(f *contract.Folder, env string) *brief {
	b := &brief{Form: briefForm, Purpose: f.Description.Purpose, Owner: owner(f), Life: f.Life, Tags: f.Tags, Ask: askAt(f.Support), Grants: grants(f), Reads: reads(f, env)}
	add := func(s contract.SLA) {
		if s.Schedule != "" || s.Frequency > 0 {
			b.Paces = append(b.Paces, pace{s.Schedule, s.Frequency})
		}
	}
	for _, in := range f.Inputs {
		if !in.Product.IsZero() {
			b.Upstream = append(b.Upstream, in.Product) // it wakes this one by itself
		}
		if in.Contract == nil {
			continue
		}
		b.Sources = true
		add(in.Contract.SLA)
		if s, err := in.Contract.Server(env); err == nil && s.Type == "local" && in.Contract.SLA.Frequency <= 0 && in.Contract.SLA.Schedule == "" {
			b.Local = append(b.Local, s.Path)
		}
	}
	for _, o := range f.Outputs {
		add(o.Contract.SLA)
		if l := o.Contract.SLA.Latency; l > 0 {
			b.Latency = append(b.Latency, l)
		}
	}
	return b
}

// grants says who may read which tables of the folder's product.
func grants(f *contract.Folder) []grant {
	var out []grant
	for _, o := range f.Outputs {
		g := grant{Port: o.Name, Readers: o.Readers, Copies: cardReplicas(o.Replicas), Holds: holdGrantOf(o.Holds)}
		for _, t := range o.Contract.Tables {
			g.Tables = append(g.Tables, t.Name)
		}
		out = append(out, g)
	}
	return out
}

// askAt is the first channel that has an address, else the first.
func askAt(channels []contract.Channel) string {
	if len(channels) == 0 {
		return ""
	}
	for _, c := range channels {
		if c.URL != "" {
			return c.URL
		}
	}
	return channels[0].Channel
}

// wait is how long until something wants a read, 0 where nothing says.
func (b *brief) wait(now time.Time) time.Duration {
	shortest := time.Duration(0)
	for _, p := range b.Paces {
		if d := p.wait(now); d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	return shortest
}

func (p pace) wait(now time.Time) time.Duration {
	if p.Schedule != "" {
		if s, err := contract.ParseSchedule(p.Schedule); err == nil { // the folder was read: it is one
			if next := s.Next(now); !next.IsZero() {
				return next.Sub(now)
			}
		}
	}
	return p.Frequency
}

func owner(f *contract.Folder) string {
	if f.Team.Name != "" {
		return f.Team.Name
	}
	for _, m := range f.Team.Members {
		if m.Role == "owner" {
			return m.Username
		}
	}
	return ""
}

func holdGrantOf(h *contract.Holds) *holdGrant {
	if h == nil {
		return nil
	}
	return &holdGrant{h.Domains, h.For}
}
