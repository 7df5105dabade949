package fedtest

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weft/engine"
)

// TPCHTable is one table of TPC-H.
type TPCHTable struct {
	Name    string
	Key     []string
	Columns []Column
}

// table reads columns written as "name type, …"; all have values.
func table(name, key, columns string) TPCHTable {
	t := TPCHTable{Name: name, Key: strings.Fields(key)}
	for c := range strings.SplitSeq(columns, ";") {
		name, typ, _ := strings.Cut(strings.TrimSpace(c), " ")
		t.Columns = append(t.Columns, Column{Name: name, Type: typ, Required: true})
	}
	return t
}

// TPCHTables are the tables of TPC-H, as tpchgen-cli writes them.
func TPCHTables() []TPCHTable {
	return []TPCHTable{
		table("region", "r_regionkey", "r_regionkey bigint; r_name text; r_comment text"),
		table("nation", "n_nationkey", "n_nationkey bigint; n_name text; n_regionkey bigint; n_comment text"),
		table("supplier", "s_suppkey", "s_suppkey bigint; s_name text; s_address text; s_nationkey bigint; s_phone text; s_acctbal decimal(15,2); s_comment text"),
		table("customer", "c_custkey", "c_custkey bigint; c_name text; c_address text; c_nationkey bigint; c_phone text; c_acctbal decimal(15,2); c_mktsegment text; c_comment text"),
		table("part", "p_partkey", "p_partkey bigint; p_name text; p_mfgr text; p_brand text; p_type text; p_size integer; p_container text; p_retailprice decimal(15,2); p_comment text"),
		table("partsupp", "ps_partkey ps_suppkey", "ps_partkey bigint; ps_suppkey bigint; ps_availqty integer; ps_supplycost decimal(15,2); ps_comment text"),
		table("orders", "o_orderkey", "o_orderkey bigint; o_custkey bigint; o_orderstatus text; o_totalprice decimal(15,2); o_orderdate date; o_orderpriority text; o_clerk text; o_shippriority integer; o_comment text"),
		table("lineitem", "l_orderkey l_linenumber", "l_orderkey bigint; l_partkey bigint; l_suppkey bigint; l_linenumber integer; l_quantity decimal(15,2); l_extendedprice decimal(15,2); l_discount decimal(15,2); l_tax decimal(15,2); "+
			"l_returnflag text; l_linestatus text; l_shipdate date; l_commitdate date; l_receiptdate date; l_shipinstruct text; l_shipmode text; l_comment text"),
	}
}

// TPCHVersion is the version of tpchgen-cli that the data are made by; scripts/setup.sh
// installs it.
const TPCHVersion = "4.0.0"

// generator is the program that makes the data.
func generator() (string, error) {
	venv := os.Getenv("WEFT_TEST_VENV")
	if venv == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		venv = filepath.Join(cache, "weft-test-venv")
	}
	at := filepath.Join(venv, "bin", "tpchgen-cli")
	out, err := exec.Command(at, "--version").Output()
	if err != nil || !slices.Contains(strings.Fields(string(out)), TPCHVersion) {
		return "", fmt.Errorf("%s of version %s is needed: type ./scripts/setup.sh test (%w)", at, TPCHVersion, err)
	}
	return at, nil
}

// shards is over how many nodes orders and lineitem are divided, by what their key leaves
// when it is divided by it: a hash that contracts can say (docs/shards.md).
const shards = 3

// TPCHData has the tables in a folder below dir as Parquet, whole and split, and
// returns it. It is made once.
func TPCHData(ctx context.Context, dir string, scale float64) (string, error) {
	at := filepath.Join(dir, "tpch-sf"+strconv.FormatFloat(scale, 'g', -1, 64)+"-"+TPCHVersion+"-shards")
	if _, err := os.Stat(at); err == nil {
		return at, nil
	}
	bin, err := generator()
	if err != nil {
		return "", err
	}
	made := at + ".new"
	if err := os.RemoveAll(made); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, bin, "parquet", "--scale-factor", strconv.FormatFloat(scale, 'f', -1, 64), "--output-dir", made, "--quiet")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("tpchgen-cli: %w\n%s", err, out)
	}
	d, err := OpenEngine(0)
	if err != nil {
		return "", err
	}
	defer func() { _ = d.Close() }()
	for table, key := range map[string]string{"orders": "o_orderkey", "lineitem": "l_orderkey"} {
		for i := range shards {
			sql := fmt.Sprintf("COPY (FROM read_parquet(%s) WHERE %s %% %d = %d) TO %s (FORMAT parquet)",
				engine.QuoteLiteral(filepath.Join(made, table+".parquet")), key, shards, i, engine.QuoteLiteral(filepath.Join(made, shardFile(table, i))))
			if _, err := d.Exec(ctx, engine.Statement{SQL: sql}); err != nil {
				return "", err
			}
		}
	}
	return at, os.Rename(made, at)
}

func shardFile(table string, i int) string { return fmt.Sprintf("%s-%d.parquet", table, i) }

//go:embed tpch/*.sql
var tpchTexts embed.FS

// TPCHQuery is one of the 22 questions of TPC-H, with the parameters that the standard
// validates answers with.
type TPCHQuery struct {
	Name string
	text string
}

// TPCHQueries are all of them in order.
func TPCHQueries() []TPCHQuery {
	files, _ := fs.Glob(tpchTexts, "tpch/*.sql") // in order
	var out []TPCHQuery
	for _, f := range files {
		b, _ := fs.ReadFile(tpchTexts, f) // it was listed
		out = append(out, TPCHQuery{strings.TrimSuffix(filepath.Base(f), ".sql"), string(b)})
	}
	return out
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// tables are those that the question names, once each and in order.
func (q TPCHQuery) tables() (out []string) {
	for _, m := range placeholder.FindAllStringSubmatch(q.text, -1) {
		if m[1] != "fraction" && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// Columns are those of a table that the question uses.
func (q TPCHQuery) Columns(t TPCHTable) (out []string) {
	if !slices.Contains(q.tables(), t.Name) {
		return nil
	}
	for _, c := range t.Columns {
		if regexp.MustCompile(`\b` + c.Name + `\b`).MatchString(q.text) {
			out = append(out, c.Name)
		}
	}
	return out
}

// SQL is the question with its tables as they are named by name.
func (q TPCHQuery) SQL(scale float64, name func(table string) string) string {
	return placeholder.ReplaceAllStringFunc(q.text, func(m string) string {
		if m == "{fraction}" {
			return strconv.FormatFloat(0.0001/scale, 'f', -1, 64)
		}
		return name(strings.Trim(m, "{}"))
	})
}

// Plain is the question over tables of their own names.
func (q TPCHQuery) Plain(scale float64) string {
	return q.SQL(scale, func(table string) string { return table })
}

// DefineTPCH gives an engine all tables of a folder of TPCHData in one place.
func DefineTPCH(ctx context.Context, d *engine.Direct, data string) error {
	for _, t := range TPCHTables() {
		if err := Define(ctx, d, "main", t.Name, filepath.Join(data, t.Name+".parquet")); err != nil {
			return err
		}
	}
	return nil
}
