package meshtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weft"
	"weft/peer"
	"weft/run"
)

// Process is a node in a process of its own, with a relay before it.
type Process struct {
	Name  string
	IP    string // that it dials from
	Relay *Relay

	cmd *exec.Cmd
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

// childOf tells a process of the test's program that it is a node; it holds what
// Child needs to know.
const childOf = "WEFT_MESHTEST_CHILD"

// StartProcess runs a node in a process of the test's own program, whose TestMain
// calls Child. i is its number, from 1 to 200.
func StartProcess(t testing.TB, i int) *Process {
	t.Helper()
	p := &Process{Name: fmt.Sprint("p", i), IP: fmt.Sprint("127.0.0.", 10+i), Relay: NewRelay(t)}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), childOf+"="+strings.Join([]string{p.Name, p.Relay.Addr(), p.IP, t.TempDir()}, "|"))
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReaderSize(out, 64<<10)
	t.Cleanup(func() {
		_ = in.Close() // at which it ends
		p.Signal(t, syscall.SIGCONT)
		end := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
		_ = p.cmd.Wait() // it may have been killed
		end.Stop()
	})
	p.Relay.To(p.Ask(t, "listen"))
	return p
}

// Ask has the process do something and returns its answer.
func (p *Process) Ask(t testing.TB, words ...string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.in, strings.Join(words, " ")); err != nil {
		t.Fatalf("%s is gone: %v", p.Name, err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s is gone: %v", p.Name, err)
	}
	answer, bad := strings.CutPrefix(strings.TrimSpace(line), "error ")
	if bad {
		t.Fatalf("%s: %s: %s", p.Name, words[0], answer)
	}
	return answer
}

// Signal sends the process a signal.
func (p *Process) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(s) // one that has ended hears nothing
}

// Child runs this process as a node if StartProcess has started it, and reports
// whether it did.
func Child() bool {
	text := os.Getenv(childOf)
	if text == "" {
		return false
	}
	if err := child(strings.Split(text, "|")); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	return true
}

// dialFrom dials from one address of the machine, so that a relay knows who comes.
type dialFrom struct{ ip string }

func (d dialFrom) Dial(ctx context.Context, addr string) (net.Conn, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(d.ip)}}
	return from.DialContext(ctx, "tcp", addr)
}

func child(words []string) error {
	if len(words) != 4 {
		return fmt.Errorf("%d words", len(words))
	}
	name, advertise, ip, dir := words[0], words[1], words[2], words[3]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m, err := peer.New(peer.Config{
		Dir: dir, Name: name, Version: "test", Advertise: []string{advertise}, Transport: dialFrom{ip},
		Env: run.Env{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("node", name), Clock: run.Wall{}},
	})
	if err != nil {
		return err
	}
	if err := m.Open(context.Background()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.Accept(c)
		}
	}()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		answer, err := obey(ctx, m, l.Addr(), strings.Fields(in.Text()))
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
	cancel()
	err = <-done
	if e := m.Close(); err == nil {
		err = e
	}
	return err
}

// obey does what the test asks.
func obey(ctx context.Context, m *peer.Mesh, at net.Addr, words []string) (string, error) {
	switch {
	case len(words) == 1 && words[0] == "listen":
		return at.String(), nil
	case len(words) == 1 && words[0] == "found":
		return "founded", m.Found(ctx, peer.Founding{Name: "test", Domains: []string{"sales"}})
	case len(words) == 1 && words[0] == "invite":
		return m.Invite(ctx, peer.Invitation{Domain: "sales", Expires: time.Hour})
	case len(words) == 2 && words[0] == "join":
		return "joined", m.Join(ctx, words[1])
	case len(words) == 3 && words[0] == "card":
		name, err := weft.ParseName(words[1])
		if err != nil {
			return "", err
		}
		_, err = m.Publish(ctx, peer.KindCard, words[1], weft.Card{ID: "id-" + words[1], Product: name, Origin: m.Self(), Life: weft.LifeActive, Purpose: words[2]})
		return "published", err
	case len(words) == 2 && words[0] == "purpose":
		r := m.Set().Get(peer.KindCard, words[1])
		if r == nil {
			return "-", nil
		}
		var c weft.Card
		err := r.Decode(&c)
		return c.Purpose, err
	case len(words) == 1 && words[0] == "root":
		return fmt.Sprintf("%x", m.Set().Sums(0, 0)[0]), nil
	}
	return "", fmt.Errorf("what is %q?", words)
}
