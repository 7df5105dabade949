package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"weft/serve"
)

// children are the processes that this one has started: here, workers.
func children(t *testing.T) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, f := range files {
		b, _ := os.ReadFile(f) // a thread may be gone
		for _, w := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(w); err == nil {
				if comm, _ := os.ReadFile("/proc/" + w + "/cmdline"); strings.HasPrefix(string(comm), "weft worker") {
					out = append(out, pid)
				}
			}
		}
	}
	return out
}

// slowReader is a reader in Python that reads an answer to its end, with nothing
// but the standard library, and says what it got.
const slowReader = `
import sys, urllib.request, http.client
r = urllib.request.Request(sys.argv[1], data=sys.argv[3].encode(), headers={"Authorization": "Bearer " + sys.argv[2], "Content-Type": "application/json"})
n = 0
try:
    with urllib.request.urlopen(r) as a:
        while True:
            b = a.read(65536)
            if not b:
                break
            if n == 0:
                print("begun", flush=True)
                sys.stdin.readline()
            n += len(b)
    print("whole")
except (http.client.IncompleteRead, ConnectionError, http.client.HTTPException) as e:
    print("broken", type(e).__name__)
`

// TestBrokenStreamIsVisible kills the worker in the middle of an answer, in every
// format, and wants curl and a plain Python reader to notice.
func TestBrokenStreamIsVisible(t *testing.T) {
	if testing.Short() {
		t.Skip("starts curl and python")
	}
	for _, tool := range []string{"curl", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	const body = `{"sql": "SELECT a.range, 'some text ' || b.range AS t, s.* FROM range(10000000) a, range(1000) b, sales.shop s"}`
	for _, f := range []serve.Format{serve.FormatJSON, serve.FormatNDJSON, serve.FormatCSV, serve.FormatArrow, serve.FormatParquet} {
		url := r.node.URL() + "/api/v1/query?format=" + string(f)
		t.Run("curl/"+string(f), func(t *testing.T) {
			var out, diag bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, "curl", "-sS", "-N", "--limit-rate", "20M", "-o", "-", "-H", "Authorization: Bearer "+r.node.Token(), "-H", "Content-Type: application/json", "-d", body, url)
			begun := make(chan struct{}, 1)
			c.Stdout, c.Stderr = &firstByte{w: &out, begun: begun}, &diag
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			killed := killAfter(t, begun)
			err := c.Wait()
			<-killed
			if err == nil {
				t.Fatalf("curl takes %d bytes for whole", out.Len())
			}
			if code := c.ProcessState.ExitCode(); code != 18 && code != 56 && code != 92 {
				t.Errorf("curl ends with %d: %s", code, diag.String())
			}
			if tail := out.Bytes()[max(out.Len()-200, 0):]; f == serve.FormatParquet && out.Len() > 4 && bytes.HasSuffix(tail, []byte("PAR1")) || f == serve.FormatJSON && bytes.Contains(tail, []byte("rowCount")) {
				t.Errorf("what came looks whole: %q", tail)
			}
		})
		t.Run("python/"+string(f), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, "python3", "-c", slowReader, url, r.node.Token(), body)
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var out, diag bytes.Buffer
			begun := make(chan struct{}, 1)
			c.Stdout, c.Stderr = &firstByte{w: &out, begun: begun}, &diag
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			killed := killAfter(t, begun)
			<-killed
			fmt.Fprintln(in)
			_ = in.Close()
			if err := c.Wait(); err != nil {
				t.Fatal(err, diag.String())
			}
			if got := out.String(); !strings.Contains(got, "begun\nbroken") {
				t.Errorf("python says %q", got)
			}
		})
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
}

// firstByte tells when something comes.
type firstByte struct {
	w     *bytes.Buffer
	begun chan struct{}
}

func (f *firstByte) Write(p []byte) (int, error) {
	select {
	case f.begun <- struct{}{}:
	default:
	}
	return f.w.Write(p)
}

// killAfter kills all workers once something has come.
func killAfter(t *testing.T, begun <-chan struct{}) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-begun:
		case <-time.After(20 * time.Second):
			t.Error("nothing came")
		}
		for _, pid := range children(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}()
	return done
}
