package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/ingest/ingesttest"
	"weft/run"
)

// kinds are the types of the property test: how a value is drawn, as the engine
// prints it.
var kinds = []struct {
	typ  string
	draw func(*rapid.T) string
	json func(string) any // nil keeps it a string
}{
	{"bigint", func(t *rapid.T) string { return strconv.FormatInt(rapid.Int64().Draw(t, "n"), 10) }, number},
	{"smallint", func(t *rapid.T) string { return strconv.Itoa(int(rapid.Int16().Draw(t, "n"))) }, number},
	{"boolean", func(t *rapid.T) string { return strconv.FormatBool(rapid.Bool().Draw(t, "b")) }, func(s string) any { return s == "true" }},
	{"numeric(18,3)", func(t *rapid.T) string {
		n := rapid.Int64Range(-99_999_999_999, 99_999_999_999).Draw(t, "n")
		sign := ""
		if n < 0 {
			sign, n = "-", -n
		}
		return fmt.Sprintf("%s%d.%03d", sign, n/1000, n%1000)
	}, nil},
	{"text", func(t *rapid.T) string {
		return rapid.StringOfN(rapid.SampledFrom([]rune("aé ,;|\"'\\\n\t€0-")), 1, 12, -1).Draw(t, "s")
	}, nil},
	{"date", func(t *rapid.T) string {
		return fmt.Sprintf("%04d-%02d-%02d", rapid.IntRange(1, 9999).Draw(t, "y"), rapid.IntRange(1, 12).Draw(t, "m"), rapid.IntRange(1, 28).Draw(t, "d"))
	}, nil},
	{"timestamp", func(t *rapid.T) string {
		return fmt.Sprintf("2024-%02d-%02d 10:%02d:59.%06d", rapid.IntRange(1, 12).Draw(t, "m"), rapid.IntRange(1, 28).Draw(t, "d"), rapid.IntRange(0, 59).Draw(t, "min"), rapid.IntRange(100001, 999999).Draw(t, "us")/10*10+1)
	}, nil},
	{"uuid", func(t *rapid.T) string {
		return fmt.Sprintf("%08x-0000-4000-8000-%012x", rapid.Uint32().Draw(t, "a"), rapid.Uint32().Draw(t, "b"))
	}, nil},
}

func number(s string) any { return json.Number(s) }

// null stands for NULL in a drawn table; no drawn value is empty.
const null = ""

// TestRoundTrip: a table written as CSV, NDJSON and Parquet is staged as it was.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	p := &ingesttest.Port{T: t, Driver: New(), Dir: dir, Server: contract.Server{Name: "s", Type: "local", Path: "*"}}
	s, stage := p.Session()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		var cols []string
		var at []int
		for i := range rapid.IntRange(1, 5).Draw(rt, "columns") {
			k := rapid.IntRange(0, len(kinds)-1).Draw(rt, "kind")
			at = append(at, k)
			cols = append(cols, fmt.Sprintf("col%d %s", i, kinds[k].typ))
		}
		var table [][]string
		for range rapid.IntRange(1, 8).Draw(rt, "rows") {
			row := make([]string, len(cols))
			for i, k := range at {
				if i == 0 || rapid.IntRange(0, 4).Draw(rt, "null") > 0 { // a line of nothing but NULL is an empty line
					row[i] = kinds[k].draw(rt)
				}
			}
			table = append(table, row)
		}
		want := ingesttest.Table("t", cols...)
		stageDir := filepath.Join(stage, strconv.Itoa(n))
		from := writeAll(rt, dir, want, table, at)
		var last string
		for i, name := range from {
			server := contract.Server{Name: "s", Type: "local", Path: name}
			res, err := ingest.Drivers{New()}.Read(context.Background(), ingest.Request{
				Server: &server, Tables: []ingest.Want{want}, Dir: dir, Stage: filepath.Join(stageDir, strconv.Itoa(i)), Session: s, Env: run.Quiet(),
			})
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			if res.Tables[0].RejectRows != 0 || res.Tables[0].Rows != int64(len(table)) {
				rt.Fatalf("%s: %d rows of %d, %d rejected", name, res.Tables[0].Rows, len(table), res.Tables[0].RejectRows)
			}
			last = compare(rt, s, name, res.Tables[0].Files[0], want, table)
		}
		_ = last
	})
}

// writeAll writes the table as CSV and NDJSON, and names both.
func writeAll(rt *rapid.T, dir string, want ingest.Want, table [][]string, at []int) []string {
	var c, j bytes.Buffer
	w := csv.NewWriter(&c)
	var head []string
	for _, col := range want.Columns {
		head = append(head, col.Name)
	}
	_ = w.Write(head)
	for _, row := range table {
		_ = w.Write(row)
		obj := map[string]any{}
		for i, v := range row {
			switch {
			case v == null:
				obj[head[i]] = nil
			case kinds[at[i]].json != nil:
				obj[head[i]] = kinds[at[i]].json(v)
			default:
				obj[head[i]] = v
			}
		}
		line, _ := json.Marshal(obj)
		j.Write(append(line, '\n'))
	}
	w.Flush()
	for name, b := range map[string][]byte{"p.csv": c.Bytes(), "p.ndjson": j.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			rt.Fatal(err)
		}
	}
	return []string{"p.csv", "p.ndjson"}
}

// compare holds a staged file against the table, as text.
func compare(rt *rapid.T, s engine.Session, name, file string, want ingest.Want, table [][]string) string {
	var cols []string
	for _, c := range want.Columns {
		cols = append(cols, fmt.Sprintf("coalesce(CAST(%s AS VARCHAR), '')", contract.QuoteIdent(c.Name)))
	}
	var lines []string
	err := rows(context.Background(), ingest.Request{Session: s}, "SELECT "+strings.Join(cols, ", ")+" FROM read_parquet('"+file+"')", func(t []string, _ []bool) error {
		lines = append(lines, strings.Join(t, "\x01"))
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	var expect []string
	for _, r := range table {
		expect = append(expect, strings.Join(r, "\x01"))
	}
	slices.Sort(lines)
	slices.Sort(expect)
	if !slices.Equal(lines, expect) {
		rt.Fatalf("%s: got %q want %q", name, lines, expect)
	}
	return strings.Join(lines, "\n")
}

// FuzzRecord: no text makes the record reader loop, panic or invent bytes.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"a,b\n", "\"a\nb\",c\r\n", "a||b", "'x\\'y',z", "\"", "\xef\xbb\xbfa"} {
		f.Add(s, ",", "\"", "\"")
		f.Add(s, "||", "'", "\\")
	}
	f.Fuzz(func(t *testing.T, text, delimiter, quote, escape string) {
		if len(quote) > 1 || len(escape) > 1 {
			return
		}
		d := dialect{delimiter: delimiter, quote: quote, escape: escape}
		r := bufio.NewReader(strings.NewReader(text))
		total := 0
		for {
			rec, err := d.record(r)
			if err != nil {
				break
			}
			for _, s := range rec {
				total += len(s)
			}
		}
		if total > len(text) || total > math.MaxInt32 {
			t.Errorf("%d bytes out of %d", total, len(text))
		}
	})
}

// FuzzRecords: taking broken JSON apart neither panics nor loses a line.
func FuzzRecords(f *testing.F) {
	for _, s := range []string{`{"a":1}` + "\n{", `[{"a":1},2]`, "[", `{"a":1}{"b":2}`, "null\n"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, lines bool) {
		l := &load{rejects: ingest.NewRejects("", "t")}
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		file := &file{path: "x", label: "x"}
		src := bufio.NewReader(strings.NewReader(text))
		if !lines {
			_ = l.values(file, src, w, strings.HasPrefix(text, "["))
		} else if err := l.lines(file, src, w); err != nil {
			t.Fatal(err)
		}
		_ = w.Flush()
		for line := range bytes.Lines(out.Bytes()) {
			if !json.Valid(line) {
				t.Errorf("wrote %q", line)
			}
		}
		if lines {
			n := 0
			for line := range strings.Lines(text) {
				if len(bytes.TrimSpace([]byte(line))) > 0 {
					n++
				}
			}
			if got := bytes.Count(out.Bytes(), []byte("\n")) + int(l.rejects.Count()); got != n {
				t.Errorf("%d records of %d lines", got, n)
			}
		}
	})
}

// FuzzEvenLines: nothing but line ends changes, and evening twice is evening once.
func FuzzEvenLines(f *testing.F) {
	f.Add("a,b\r\n1,2\n\"x\r\ny\",3\r")
	f.Add("\"a\\\"b\",\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, escape := range []string{`"`, `\`} {
			d := dialect{delimiter: ",", quote: `"`, escape: escape}
			once := evened(t, d, text)
			if strip(once) != strip(text) || evened(t, d, once) != once {
				t.Errorf("%q became %q", text, once)
			}
		}
	})
}

func evened(t *testing.T, d dialect, text string) string {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if _, err := evenLines(d, bufio.NewReader(strings.NewReader(text)), w); err != nil {
		t.Fatal(err)
	}
	_ = w.Flush()
	return b.String()
}

func strip(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }
