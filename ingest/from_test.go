package ingest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/contract"
	"weft/ingest"
)

var orders = weft.Name{Domain: "sales", Product: "orders"}

func TestParseFrom(t *testing.T) {
	for text, want := range map[string]string{
		"orders.csv":                                              "local path=/home/orders.csv table=orders",
		"/data/in/2024-*/part-*.csv":                              "local path=/data/in/2024-*/part-*.csv table=part",
		"/data/returns/*.csv":                                     "local path=/data/returns/*.csv table=returns",
		"*.parquet":                                               "local path=/home/*.parquet table=home",
		"/Data/Order Lines.csv.gz":                                "local path=/Data/Order Lines.csv.gz table=order_lines",
		"https://x.example/a/o.csv?q=":                            "api url=https://x.example/a/o.csv?q= table=o",
		"https://bob:s%40c@x.example/o.csv":                       "api url=https://x.example/o.csv user=${ORDERS_SOURCE_USER} password=${ORDERS_SOURCE_PASSWORD} table=o ORDERS_SOURCE_PASSWORD=s@c ORDERS_SOURCE_USER=bob",
		"postgres://db.example:5433/shop?table=sales.orders":      "postgres host=db.example port=5433 database=shop schema=sales table=orders",
		"postgres://bob:pw@db/shop/orders":                        "postgres host=db database=shop schema=public user=${ORDERS_SOURCE_USER} password=${ORDERS_SOURCE_PASSWORD} table=orders ORDERS_SOURCE_PASSWORD=pw ORDERS_SOURCE_USER=bob",
		"postgres://${U}:${P}@db/shop/public.Orders":              "postgres host=db database=shop schema=public user=${U} password=${P} table=orders physical=Orders",
		"postgresql://db/shop?table=a&host=/run/pg":               "postgres host=/run/pg database=shop schema=public table=a",
		"postgres://db/shop/a?sslmode=require&sslrootcert=ca.pem": "postgres host=db database=shop schema=public tls=require root=/home/ca.pem table=a",
		"postgres://db/shop/a?sslmode=prefer":                     "postgres host=db database=shop schema=public table=a",
	} {
		o, err := ingest.ParseFrom(text, "/home", orders)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		s := o.Server
		got := s.Type
		for _, f := range [][2]string{{"path", s.Path}, {"url", s.URL}, {"host", s.Host}, {"port", s.Port}, {"database", s.Database}, {"schema", s.Schema}, {"user", s.User}, {"password", s.Password}, {"tls", s.TLS}, {"root", s.TLSRoot}, {"table", o.Table.Name}, {"physical", o.Table.PhysicalName}} {
			if f[1] != "" {
				got += " " + f[0] + "=" + f[1]
			}
		}
		for _, k := range slices.Sorted(maps.Keys(o.Vars)) {
			got += " " + k + "=" + o.Vars[k]
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	for _, text := range []string{"", "ftp://x/y", "postgres://db", "postgres://db/shop", "postgres://u:hunter2@/x/y", "https://u:hunter2", "postgres://u:hunter2@db:port/x/y", "postgres://u:hunter2@db/x/y?sslmode=some"} {
		if _, err := ingest.ParseFrom(text, "/home", orders); weft.KindOf(err) != weft.KindInvalid || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func column(name, typ string) ingest.Column {
	c := ingest.Column{Name: name}
	if typ != "" {
		c.Type, _ = contract.ParseType("", typ)
	}
	return c
}

func TestMatch(t *testing.T) {
	found := []ingest.Found{{Name: "ID", Type: contract.Type{Kind: contract.KindInt64}}, {Name: "quantity"}, {Name: "id"}, {Name: "note", Type: contract.Type{Kind: contract.KindString}}}
	table := &contract.Table{Name: "t"}
	bound, ignored, err := ingest.Match(ingest.Want{Table: table, Strict: true, Columns: []ingest.Column{column("id", "int"), column("Quantity", "")}}, "x.csv", found)
	if err != nil || fmt.Sprint(ignored) != "[ID note]" || bound[0].Index != 2 || bound[1].Source != "quantity" {
		t.Errorf("%v %v %v", bound, ignored, err)
	}
	bound, _, err = ingest.Match(ingest.Want{Table: table, Columns: []ingest.Column{column("id", "int")}, Known: []ingest.Column{column("quantity", "double"), column("note", "date")}}, "x.csv", found)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range bound {
		names = append(names, fmt.Sprint(b.Name, " ", b.Type, " ", b.Declared))
	}
	if got := strings.Join(names, ", "); got != "id integer true, ID_1 unknown false, quantity double precision true, note unknown false" {
		t.Error(got)
	}
	_, _, err = ingest.Match(ingest.Want{Table: table, Columns: []ingest.Column{column("qty", "int"), column("note", "date"), column("gone", "")}}, "x.csv", found)
	for _, want := range []string{"column `qty` (integer) is missing; x.csv has `quantity`: did it get renamed?", "column `note` changed its type: date is expected, x.csv has text", "column `gone` is missing"} {
		if weft.KindOf(err) != weft.KindDrift || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}

func TestPositionOfAnotherKind(t *testing.T) {
	for _, raw := range []string{`{"v":2}`, `[]`, `x`} {
		if _, err := ingest.ParseFilePosition([]byte(raw), "p"); weft.KindOf(err) != weft.KindCorrupt {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
