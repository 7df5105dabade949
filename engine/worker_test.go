package engine

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

func memoryOf() memory.Allocator { return memory.DefaultAllocator }

func wantKind(t *testing.T, err error, kind weft.Kind) {
	t.Helper()
	if err == nil || weft.KindOf(err) != kind {
		t.Fatalf("want an error of kind %s, have %v (%s)", kind, err, weft.KindOf(err))
	}
}

func TestWorkerIsConfined(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	t.Setenv("A_SECRET", "visible")
	file := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(file, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "b.csv")
	if err := os.WriteFile(outside, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testSession(t, func(c *SessionConfig) { c.Read, c.Write = []string{dir}, out })
	if p, ok := ProtectionOf(s); !ok || !p.Engine || p.Memory < 256<<20 {
		t.Fatalf("%+v", p)
	}
	if got := mustAsk(t, s, "from read_csv("+QuoteLiteral(file)+")"); got != "1\n" {
		t.Fatal(got)
	}
	for _, sql := range []string{
		"from read_text('/etc/passwd')", "from read_csv('/etc/passwd')", "from read_blob('/proc/self/environ')",
		"from read_csv(" + QuoteLiteral(outside) + ")", "from '" + outside + "'", "from glob('/etc/*')",
		"from read_csv('" + dir + "/../../../../../../../../etc/passwd')", "from read_csv('https://example.com/x.csv')",
		"from read_parquet('s3://bucket/x.parquet')",
	} {
		out, err := ask(t.Context(), s, Statement{SQL: sql})
		if err == nil && out != "" {
			t.Errorf("%s: %q", sql, out)
		} else if err != nil && strings.Contains(err.Error(), dir) {
			t.Errorf("a path leaks: %v", err)
		}
	}
	for _, sql := range []string{
		"copy (select 1) to '" + filepath.Join(dir, "new.csv") + "x/../../evil.csv'", "copy (select 1) to '/tmp/weft-evil.csv'",
		"attach '/tmp/weft-evil.db'", "install httpfs", "load httpfs", "set threads = 1", "set enable_external_access = true",
		"reset lock_configuration", "export database '/tmp/weft-evil'", "create secret x (type s3)",
		"set global allowed_directories = ['/']", "pragma profile_output='/tmp/weft-evil.json'",
	} {
		if _, err := s.Exec(t.Context(), Statement{SQL: sql}); err == nil {
			t.Errorf("%s: done", sql)
		}
	}
	if n, err := s.Exec(t.Context(), Statement{SQL: "copy (from range(10)) to " + QuoteLiteral(filepath.Join(out, "x.parquet"))}); err != nil || n != 10 {
		t.Fatal(n, err)
	}
	if got := mustAsk(t, s, "select count(*) from "+QuoteLiteral(filepath.Join(out, "x.parquet"))); got != "10\n" {
		t.Fatal(got)
	}
	env, err := os.ReadFile("/proc/" + pid(s) + "/environ")
	if err != nil || strings.Contains(string(env), "A_SECRET") || strings.Contains(string(env), "PATH=") {
		t.Fatalf("%q %v", env, err)
	}
}

func pid(s Session) string {
	return filepath.Base(filepath.Dir("/proc/" + itoa(s.(*session).proc.cmd.Process.Pid) + "/x"))
}

func TestKernelConfines(t *testing.T) {
	s := testSession(t, nil)
	p := s.(*session).prot
	if p.Syscalls != "on" {
		t.Errorf("system calls: %s", p.Syscalls)
	}
	if p.Files != "on" && p.Files != "the kernel has no Landlock" {
		t.Errorf("files: %s", p.Files)
	}
	status, err := os.ReadFile("/proc/" + pid(s) + "/status")
	if err != nil || !strings.Contains(string(status), "NoNewPrivs:\t1") || !strings.Contains(string(status), "Seccomp:\t2") {
		t.Fatalf("%s %v", status, err)
	}
}

// TestLoaderSeesOnlyWhatIsDeclared holds that a loader's statements, which no walker
// has read, reach the declared files and nothing that a link, a pattern, a way
// around or an exchange during the load leads to.
func TestLoaderSeesOnlyWhatIsDeclared(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	link := func(to, name string) {
		p := filepath.Join(root, name)
		_ = os.Remove(p)
		if err := os.Symlink(to, p); err != nil {
			t.Fatal(err)
		}
	}
	const secret = "a\nSECRET\n"
	outside := write("outside/secret.csv", secret)
	one := write("files/one.csv", "a\n1\n")
	write("files/sibling.csv", secret)
	write("folder/x.csv", "a\n2\n")
	write("other-product/files/1.csv", secret)
	stage := filepath.Join(root, "stage")
	link(outside, "folder/link.csv")
	link(filepath.Dir(outside), "folder/deep")
	if err := os.Mkdir(stage, 0o755); err != nil {
		t.Fatal(err)
	}
	s := testSession(t, func(c *SessionConfig) { c.Read, c.Write = []string{one, root + "/folder"}, stage })
	if p, _ := ProtectionOf(s); p.Files != "on" {
		t.Skip(p.Files)
	}
	if got := mustAsk(t, s, "select (from read_csv("+QuoteLiteral(one)+")), (from read_csv('"+root+"/folder/x.csv'))"); got != "1|2\n" {
		t.Fatal(got)
	}
	link(outside, "folder/x.csv") // exchanged while the load runs
	link(outside, "files/one.csv")
	link(outside, "stage/out.csv")
	for _, path := range []string{
		one, root + "/folder/x.csv", root + "/folder/link.csv", root + "/folder/deep/secret.csv", root + "/folder/*.csv", root + "/folder/**/*.csv",
		root + "/folder/../outside/secret.csv", root + "/files/sibling.csv", root + "/files/*.csv", root + "/*/*.csv", outside,
		root + "/other-product/files/1.csv", stage + "/out.csv", stage + "/../outside/secret.csv", "/proc/self/cwd" + outside, "/proc/self/root" + outside,
	} {
		for _, read := range []string{"read_csv", "read_text", "read_blob"} {
			got, err := ask(t.Context(), s, Statement{SQL: "select * from " + read + "(" + QuoteLiteral(path) + ")"})
			if strings.Contains(got, "SECRET") || err == nil && got != "" {
				t.Errorf("%s(%s) gives %q", read, path, got)
			}
		}
	}
	if _, err := s.Exec(t.Context(), Statement{SQL: "copy (select 'EVIL' as a) to '" + stage + "/out.csv' (use_tmp_file false)"}); err == nil {
		t.Error("it wrote through a link")
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != secret {
		t.Errorf("%q %v", b, err)
	}
}

func TestKilledWorker(t *testing.T) {
	s := testSession(t, nil)
	r, err := s.Query(t.Context(), Statement{SQL: "select range as a, hash(range) as b from range(1000000000)"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() {
		t.Fatal(r.Err())
	}
	if err := syscall.Kill(s.(*session).proc.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for r.Next() {
	}
	wantKind(t, r.Err(), weft.KindUnavailable)
	_, err = s.Parse(t.Context(), "select 1")
	wantKind(t, err, weft.KindUnavailable)
}

func TestMemoryBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := testPool(t)
	for _, sql := range []string{
		"select repeat('x', 100000000) as x from range(100)",
		"select length(repeat(repeat('x', 100000000), 40))",
		"select list(a.range) as l from range(100000000) a, range(100) b",
		"select count(distinct a.range * 100000 + b.range) from range(100000) a, range(100000) b",
		"select * from range(100000000) a order by hash(a.range)",
		"select string_agg(repeat('x', 1000000), ',') from range(100000)",
		"with recursive r(x) as (select repeat('x', 1000) union all select x || x from r) select max(length(x)) from r",
		"select range(1000000000::bigint)",
		"select lpad('x', 2000000000, 'y'), lpad('x', 2000000000, 'z')",
	} {
		s, err := p.Session(t.Context(), SessionConfig{Name: "bomb", Memory: 128 << 20, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		began := time.Now()
		_, err = ask(ctx, s, Statement{SQL: sql})
		cancel()
		t.Logf("%.2fs %s: %v", time.Since(began).Seconds(), sql, err)
		if weft.KindOf(err) != weft.KindLimit || ctx.Err() == context.DeadlineExceeded {
			t.Errorf("%s: %v (%s)", sql, err, weft.KindOf(err))
		}
		_ = s.Close()
	}
}

// TestAddressesAreGivenBack holds that what a worker has freed does not count against the
// limit of its memory any more: the kernel counts addresses.
func TestAddressesAreGivenBack(t *testing.T) {
	p := testPool(t)
	s, err := p.Session(t.Context(), SessionConfig{Name: "texts", Memory: 512 << 20, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	size := func() int64 {
		probe(t, s, "rest", nil)
		n, err := dataSize(pid(s))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// A sort has all of 70 MB, in pieces of many sizes.
	const sql = "select * from (select i, repeat('letter ', 250) || i as text from range(40000) r(i) order by hash(i)) where i % 1000 = 0"
	before := size()
	for range 5 {
		if _, err := ask(t.Context(), s, Statement{SQL: sql}); err != nil {
			t.Fatal(err)
		}
	}
	if after := size(); after-before > 50<<20 {
		t.Errorf("it had %d MB, and has %d MB after it has sorted 70 MB five times", before>>20, after>>20)
	}
}

func TestEndless(t *testing.T) {
	s := testSession(t, nil)
	for _, sql := range []string{
		"select count(*) from range(1000000000000::bigint) a where hash(a.range) = 1",
		"with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
		"select * from range(1000000000000::bigint)",
		"select 1" + strings.Repeat("->1", 45),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		_, err := ask(ctx, s, Statement{SQL: sql})
		cancel()
		took := time.Since(began)
		t.Logf("%v %.60s: %v", took, sql, err)
		if took > 1500*time.Millisecond {
			t.Errorf("%.60s: stopped after %v", sql, took)
		}
		if weft.KindOf(err) != weft.KindLimit {
			t.Errorf("%.60s: %v", sql, err)
		}
		if s.(*session).broken.Load() {
			s = testSession(t, nil)
		} else if got := mustAsk(t, s, "select 1"); got != "1\n" {
			t.Error(got)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// TestExchangedBeforeItIsHeld holds that a declared file or folder which is exchanged
// for a link, after it was looked at and before the kernel holds the worker, leads
// nowhere.
func TestExchangedBeforeItIsHeld(t *testing.T) {
	root := Resolved(t.TempDir())
	path := func(name string) string { return filepath.Join(root, name) }
	for _, f := range []string{"secret/a.csv", "files/a.csv", "folder/a.csv", "real/a.csv"} {
		if err := os.MkdirAll(filepath.Dir(path(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(f), []byte("a\n"+filepath.Dir(f)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", path("named")); err != nil { // that a declared path leads through a link is ordinary
		t.Fatal(err)
	}
	cfg := SessionConfig{Memory: 64 << 20, Threads: 1, Read: []string{path("files/a.csv"), path("folder"), path("named/a.csv")}}
	for _, r := range cfg.Read {
		cfg.Real = append(cfg.Real, Resolved(r))
	}
	for name, to := range map[string]string{"files/a.csv": "secret/a.csv", "folder": "secret"} {
		if err := os.RemoveAll(path(name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path(to), path(name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := testPool(t).Session(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if p, _ := ProtectionOf(s); p.Files != "on" {
		t.Skip(p.Files)
	}
	for _, f := range []string{"files/a.csv", "folder/a.csv"} {
		if got, err := ask(t.Context(), s, Statement{SQL: "from read_csv(" + QuoteLiteral(path(f)) + ")"}); err == nil {
			t.Errorf("%s: %q", f, got)
		}
	}
	if got := mustAsk(t, s, "from read_csv("+QuoteLiteral(path("named/a.csv"))+")"); got != "real\n" {
		t.Error(got)
	}
}
