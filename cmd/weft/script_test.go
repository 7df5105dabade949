package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"weft/engine"
	"weft/ingest/postgres/pgtest"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	testscript.Main(m, map[string]func(){"weft": main})
}

// TestScripts runs testdata/script: each is a session at a shell with the real
// program. Scripts whose name starts with node_ start a node.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

// TestPostgres runs testdata/postgres, whose sessions read from a PostgreSQL
// server of their own: --from "$SOURCE…" names its database.
func TestPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL server")
	}
	pg, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Close)
	db := pg.Database(t, `
		CREATE TABLE orders (id bigint PRIMARY KEY, placed timestamptz NOT NULL, amount numeric(14,2) NOT NULL, email text);
		INSERT INTO orders SELECT i, timestamptz '2025-01-01 00:00:00Z' + i * interval '1 hour', i * 1.25, 'person' || i || '@example.com' FROM generate_series(1, 1000) i;`)
	source := func(password string) string {
		return "postgres://" + pgtest.User + ":" + password + "@localhost:" + pg.Port + "/" + db + "?host=" + pg.Host + "&table=public.orders"
	}
	runScripts(t, "testdata/postgres",
		"SOURCE="+source("invented-password"), "PGDATABASE="+db, "PGHOST="+pg.Host, "PGPORT="+pg.Port, "PGUSER="+pgtest.User)
}

// runScripts runs the scripts of a folder with further variables.
func runScripts(t *testing.T, dir string, vars ...string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "NO_COLOR=1", "TZ=UTC", "GIT_CONFIG_NOSYSTEM=1",
				"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com",
				"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com")
			e.Vars = append(e.Vars, vars...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"certificate": scriptCertificate,
			"ready":       scriptReady,
			"stopping":    scriptStopping,
			"signal":      scriptSignal,
			"await":       scriptAwait,
			"exits":       scriptExits,
			"mode":        scriptMode,
		},
	})
}

// patience is how long a script waits for anything.
const patience = 30 * time.Second

// poll tries ask again and again until it is true, or patience ends.
func poll(every time.Duration, ask func() bool) bool {
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ask() {
		select {
		case <-end.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

// scriptReady waits until the node of a data folder answers: ready .weft
func scriptReady(ts *testscript.TestScript, _ bool, args []string) {
	awaitProbe(ts, args, http.StatusOK)
}

// scriptStopping waits until the node of a data folder takes nothing new:
// stopping .weft
func scriptStopping(ts *testscript.TestScript, _ bool, args []string) {
	awaitProbe(ts, args, http.StatusServiceUnavailable)
}

func awaitProbe(ts *testscript.TestScript, args []string, status int) {
	if len(args) != 1 {
		ts.Fatalf("usage: ready|stopping DATA")
	}
	client := &http.Client{Timeout: time.Second}
	ok := poll(25*time.Millisecond, func() bool {
		b, err := os.ReadFile(filepath.Join(ts.MkAbs(args[0]), "node.json"))
		var at struct{ URL string }
		if err != nil || json.Unmarshal(b, &at) != nil {
			return false
		}
		res, err := client.Get(at.URL + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == status
	})
	if !ok {
		ts.Fatalf("the node of %s never answered /readyz with %d", args[0], status)
	}
}

// scriptSignal sends a signal to the node of a data folder: signal TERM .weft
func scriptSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}
	if len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal TERM|HUP|KILL|STOP|CONT DATA")
	}
	b, err := os.ReadFile(filepath.Join(ts.MkAbs(args[1]), "node.json"))
	ts.Check(err)
	var at struct{ PID int }
	ts.Check(json.Unmarshal(b, &at))
	ts.Check(syscall.Kill(at.PID, signals[args[0]]))
}

// scriptAwait runs a command until its output matches: await REGEXP CMD ARG…
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await REGEXP CMD ARG…")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	ok := poll(200*time.Millisecond, func() bool {
		_ = ts.Exec(args[1], args[2:]...)
		return re.MatchString(ts.ReadFile("stdout"))
	})
	if !ok {
		ts.Fatalf("%s never printed %s", args[1], args[0])
	}
}

// scriptExits runs a command and holds its exit code: exits 1 CMD ARG…
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD ARG…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if e, ok := err.(*exec.ExitError); ok {
		code = e.ProcessState.String()[len("exit status "):]
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("it ended with %s and should end with %s", code, args[0])
	}
}

// scriptMode holds a file's permissions: mode 600 FILE
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mode MODE FILE")
	}
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := st.Mode().Perm().String(); got != args[0] {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}

// scriptCertificate writes a certificate for loopback that is its own authority:
// certificate CERT KEY
func scriptCertificate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for path, block := range map[string]*pem.Block{
		args[0]: {Type: "CERTIFICATE", Bytes: der}, args[1]: {Type: "PRIVATE KEY", Bytes: private},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(path), pem.EncodeToMemory(block), 0o600))
	}
}
