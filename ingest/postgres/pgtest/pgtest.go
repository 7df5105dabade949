// Package pgtest runs a private PostgreSQL server for tests: on a unix socket
// only unless it shall speak TLS, as an ordinary user, gone with its test process.
package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weft/contract"
)

// User is the superuser of the server; it has no password.
const User = "weft"

// Server is one running server.
type Server struct {
	Host string // folder of the unix socket
	Port string

	dir  string
	args []string // more settings
	cred *syscall.Credential
	cmd  *exec.Cmd
	done chan struct{}
	dbs  int
}

// Start makes a cluster and waits until it answers. The error says what is
// missing where there is no PostgreSQL on the machine.
func Start() (*Server, error) { return start(nil) }

// StartTLS is Start for a server that also listens on a port of 127.0.0.1 and
// proves itself there with a certificate; it lets only TLS in. Its unix socket
// stays as it is.
func StartTLS(cert, key []byte) (*Server, error) {
	return start(func(s *Server) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		_, s.Port, _ = net.SplitHostPort(l.Addr().String())
		if err := l.Close(); err != nil {
			return err
		}
		for name, text := range map[string][]byte{"server.crt": cert, "server.key": key, "pg_hba.conf": []byte("local all all trust\nhostssl all all all trust\n")} {
			path := filepath.Join(s.data(), name)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				return err
			}
			if s.cred != nil {
				if err := os.Chown(path, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
					return err
				}
			}
		}
		s.args = []string{"-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"}
		return nil
	})
}

func start(prepare func(*Server) error) (*Server, error) {
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	s := &Server{Port: "54329"}
	if s.dir, err = os.MkdirTemp("", "weftpg"); err != nil {
		return nil, err
	}
	s.Host = s.dir
	if err := s.drop(); err != nil {
		return nil, err
	}
	out, err := s.command(initdb, "-D", s.data(), "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C", "-N").CombinedOutput()
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if prepare != nil {
		err = prepare(s)
	}
	if err == nil {
		err = s.run()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// run starts the server on its data.
func (s *Server) run() error {
	postgres, err := find("postgres")
	if err != nil {
		return err
	}
	args := []string{
		"-D", s.data(), "-k", s.dir, "-p", s.Port, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "shared_buffers=32MB", "-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "autovacuum=off",
	}
	s.cmd = s.command(postgres, append(args, s.args...)...)
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	s.done = make(chan struct{})
	ready := make(chan error, 1)
	go func() {
		// The server dies with the thread that started it, so this one stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		if err := s.cmd.Start(); err != nil {
			ready <- err
			return
		}
		lines := bufio.NewScanner(log)
		var last string
		for lines.Scan() {
			last = lines.Text()
			if strings.Contains(last, "ready to accept connections") {
				ready <- nil
				break
			}
		}
		_, _ = io.Copy(io.Discard, log)
		err := s.cmd.Wait()
		select {
		case ready <- fmt.Errorf("postgres ended: %v: %s", err, last):
		default:
		}
	}()
	select {
	case err := <-ready:
		return err
	case <-time.After(30 * time.Second):
		s.Kill()
		return fmt.Errorf("postgres did not start within 30 s")
	}
}

// Restart starts a killed server again on the same data.
func (s *Server) Restart() error { return s.run() }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// drop gives the folder to an ordinary user where this process is root, whom
// PostgreSQL refuses.
func (s *Server) drop() error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return os.Chown(s.dir, uid, gid)
	}
	return fmt.Errorf("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func (s *Server) command(path string, args ...string) *exec.Cmd {
	c := exec.Command(path, args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGQUIT}
	return c
}

// find looks for a program of the server in PATH and where distributions put it.
func find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	more, _ := filepath.Glob("/usr/pgsql-*/bin/" + name)
	if dirs = append(dirs, more...); len(dirs) == 0 {
		return "", fmt.Errorf("no %s here: install PostgreSQL (apt-get install postgresql)", name)
	}
	sort.Strings(dirs)
	return dirs[len(dirs)-1], nil
}

// Kill ends the server at once, as a crash does, and waits until it is gone.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended already
	<-s.done
}

// Close ends the server and removes its data.
func (s *Server) Close() {
	s.Kill()
	_ = os.RemoveAll(s.dir) // a leftover in the temporary folder harms nobody
}

// CrashBackend kills the process of one connection, at which the server ends all
// others and recovers, and waits until it answers again.
func (s *Server) CrashBackend(t testing.TB, database string) {
	t.Helper()
	ctx := context.Background()
	c := s.Connect(t, database)
	if err := syscall.Kill(int(c.PgConn().PID()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for c.Ping(ctx) == nil { // until the postmaster has noticed
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", s.Host, s.Port, User, database))
		if err == nil {
			_ = c.Close(ctx)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Contract is a server of a contract for one database.
func (s *Server) Contract(database string) contract.Server {
	return contract.Server{Name: "pg", Type: "postgres", Host: s.Host, Port: s.Port, Database: database, Schema: "public", User: User}
}

// Connect opens a database for the length of a test.
func (s *Server) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", s.Host, s.Port, User, database))
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // several statements at once
	c, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// Database makes a database, runs SQL in it and returns its name.
func (s *Server) Database(t testing.TB, sql string) string {
	t.Helper()
	s.dbs++
	name := fmt.Sprintf("test%d", s.dbs)
	if _, err := s.Connect(t, "postgres").Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, name, sql)
	return name
}

// Exec runs statements in a database.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	if sql == "" {
		return
	}
	if _, err := s.Connect(t, database).Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}
