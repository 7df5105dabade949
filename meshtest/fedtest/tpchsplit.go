package fedtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"weft"
)

// TPCHSplit lays the tables of TPC-H out over four nodes, one of each domain. A fifth
// one asks.
type TPCHSplit struct {
	Name    string
	Domains []string
	whole   map[string]string // table → domain
	parts   []string          // domains that have a part each of what is split
	says    bool              // their contracts say which part it is
}

// Asker is the domain of the node that asks, which holds nothing.
const Asker = "desk"

// TPCHSplits are the ways: whole tables, and orders and lineitem divided over three nodes,
// once by contracts that say nothing of it and once by contracts that say how.
func TPCHSplits() []TPCHSplit {
	rest := map[string]string{}
	for _, t := range TPCHTables() {
		rest[t.Name] = "north"
	}
	for _, t := range split {
		delete(rest, t)
	}
	return []TPCHSplit{
		{"by domain", []string{"sales", "crm", "supply", "geo"}, map[string]string{
			"orders": "sales", "lineitem": "sales", "customer": "crm", "part": "supply", "supplier": "supply", "partsupp": "supply", "nation": "geo", "region": "geo",
		}, nil, false},
		{"by hash", []string{"east", "west", "south", "north"}, rest, []string{"east", "west", "south"}, false},
		{"by declared hash", []string{"east", "west", "south", "north"}, rest, []string{"east", "west", "south"}, true},
	}
}

// split are the tables that the split by hash divides.
var split = []string{"orders", "lineitem"}

// Products are what a domain's node publishes, made from the tables in the folder data.
func (s TPCHSplit) Products(domain, data string) (out []Product) {
	for _, t := range TPCHTables() {
		p := Product{Domain: domain, Name: t.Name, Columns: t.Columns, Key: t.Key, Readers: []string{"*"}}
		switch i := slices.Index(s.parts, domain); {
		case s.whole[t.Name] == domain:
			p.File = filepath.Join(data, t.Name+".parquet")
		case i >= 0 && slices.Contains(split, t.Name):
			p.File = filepath.Join(data, shardFile(t.Name, i))
			if s.says {
				p.Columns = slices.Clone(p.Columns)
				p.Columns[0].Shard = &weft.Shard{Modulus: shards, Remainder: i} // the order's key
			}
		default:
			continue
		}
		out = append(out, p)
	}
	return out
}

// SQL is a question over the products of the split.
func (s TPCHSplit) SQL(q TPCHQuery, scale float64) string {
	text := q.SQL(scale, func(table string) string {
		if d, ok := s.whole[table]; ok {
			return d + "." + table
		}
		return table
	})
	var with []string
	for _, t := range q.tables() {
		if s.whole[t] != "" {
			continue
		}
		var parts []string
		for _, d := range s.parts {
			parts = append(parts, fmt.Sprintf("SELECT * FROM %s.%s", d, t))
		}
		with = append(with, fmt.Sprintf("%s AS (%s)", t, strings.Join(parts, " UNION ALL ")))
	}
	if len(with) == 0 {
		return text
	}
	prefix := "WITH " + strings.Join(with, ",\n  ")
	if rest, ok := strings.CutPrefix(text, "WITH "); ok {
		return prefix + ",\n  " + rest
	}
	return prefix + "\n" + text
}
