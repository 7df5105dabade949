package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"weft"
)

// childAppends commits for ever and says each commit that was acknowledged. It
// is the process that TestKill kills.
func childAppends(dir string) {
	s, err := Open(context.Background(), testConfig(dir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for n := int64(s.Head().Seq); ; n++ {
		rows := make([]row, 1+n%40)
		for i := range rows {
			rows[i] = row{n*100 + int64(i), strings.Repeat("x", int(n%200))}
		}
		c, err := s.Append(context.Background(), change1(weft.OpAppend, batch(rows...)))
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(uint64(c.Seq), c.Hash)
	}
}

// TestKill kills a process with -9 while it commits, again and again: every
// commit that it acknowledged is there, whole and in its place.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	acked := map[weft.Seq]string{}
	var last weft.Seq
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := 1 + rnd.IntN(60)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			seq, hash, ok := strings.Cut(lines.Text(), " ")
			if !ok || seq == "error" {
				t.Fatal(lines.Text())
			}
			if len(hash) != 64 {
				continue // the last line, torn by the kill
			}
			v, err := strconv.ParseUint(seq, 10, 63)
			if err != nil {
				t.Fatal(err)
			}
			last = weft.Seq(v)
			acked[last] = hash
			if n == kill {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		s := mustOpen(t, testConfig(dir))
		if head := s.Head(); head.Seq < last || head.Seq > last+1 {
			t.Fatalf("round %d: %s was acknowledged, the head is %s", round, last, head.Seq)
		}
		next := weft.Seq(1)
		for c, err := range s.Follow(context.Background(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if h := acked[c.Commit.Seq]; c.Commit.Seq != next || h != "" && h != c.Commit.Hash.String() {
				t.Fatalf("round %d: %s is %s, acknowledged was %s", round, c.Commit.Seq, c.Commit.Hash, h)
			}
			n := int64(next) - 1
			if rows := c.Tables[0].Batches[0].NumRows(); rows != 1+n%40 {
				t.Fatalf("%s has %d rows", next, rows)
			}
			if next++; c.Commit.Seq == s.Head().Seq {
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if f := Verify(dir); len(f) != 0 {
			t.Fatal(f)
		}
	}
}
