package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft"
	"weft/serve"
)

// TestNoSpaceLeft runs a node whose data folder is a small file system of its own
// that fills up: nothing that was published is lost or hidden, what is refused
// says why and what to do, and the next attempt works once there is room. It runs
// in a process with mounts of its own; where the machine allows none it is left
// out.
func TestNoSpaceLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("mounts a file system")
	}
	if os.Getenv("WEFT_TEST_NO_SPACE") != "" {
		fullDisk(t)
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestNoSpaceLeft$", "-test.v="+fmt.Sprint(testing.Verbose()))
	c.Env = append(os.Environ(), "WEFT_TEST_NO_SPACE=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := c.CombinedOutput()
	if errors.Is(err, unix.EPERM) || bytes.Contains(out, []byte("no mounts here")) {
		t.Skip("this machine allows no mounts of one's own")
	}
	if err != nil || bytes.Contains(out, []byte("--- SKIP")) {
		t.Fatalf("%v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}

// diskRig is a rig with its data folder on a small disk.
type diskRig struct {
	*rig
	data string
}

func newDiskRig(t *testing.T, size string) *diskRig {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Skip("no mounts here: ", err)
	}
	r := &diskRig{rig: &rig{t: t, dir: t.TempDir(), tune: func(c *Config) { c.free = func(string) int64 { return 1 << 50 } }}} // another program filled the disk since the node looked
	r.data = filepath.Join(r.dir, ".weft")
	if err := os.Mkdir(r.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("small", r.data, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("no mounts here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(r.data, unix.MNT_DETACH) })
	r.start()
	return r
}

// fill leaves so many bytes of the disk.
func (r *diskRig) fill(leave int64) {
	r.t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(r.data, &st); err != nil {
		r.t.Fatal(err)
	}
	free := int64(st.Bavail) * st.Bsize
	if free <= leave {
		return
	}
	if err := os.WriteFile(filepath.Join(r.data, "filler"), make([]byte, free-leave), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *diskRig) free() {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.data, "filler")); err != nil {
		r.t.Fatal(err)
	}
}

// full holds an error to saying what, where, why and what to do, on one screen.
func (r *diskRig) full(err error) {
	r.t.Helper()
	text, hint := fmt.Sprint(err), weft.HintOf(err)
	if weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(text, "no space left") && !strings.Contains(text, "No space left") && !strings.Contains(text, "disk is full") {
		r.t.Errorf("%s: %v (%s)", weft.KindOf(err), err, hint)
	}
	if !strings.Contains(hint, "free") || len(text)+len(hint) > 800 || strings.Contains(text, "goroutine") {
		r.t.Errorf("what to do is not said: %s (%s)", text, hint)
	}
	if strings.Contains(text+hint, r.dir) {
		r.t.Errorf("a folder of the machine is named: %s (%s)", text, hint)
	}
}

// tryRefresh reads the sources and returns what went wrong.
func (r *diskRig) tryRefresh(name string) error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := r.node.Refresh(ctx, tester, mustName(r.t, name), serve.RefreshRequest{Wait: true}, nil)
	if err == nil {
		r.t.Fatalf("a full disk took a load: %+v", res)
	}
	return err
}

// many is a CSV of n rows that no codec makes small.
func many(n int) string {
	var b strings.Builder
	x := uint64(88172645463325252)
	for i := range n {
		b.WriteString(fmt.Sprint(i+1, ","))
		for range 6 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			fmt.Fprintf(&b, "%016x", x)
		}
		b.WriteString(",1.00\n")
	}
	return b.String()
}

func fullDisk(t *testing.T) {
	r := newDiskRig(t, "40m")
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	good := func(when string) {
		t.Helper()
		t.Log(when)
		r.want("SELECT count(*), sum(price) FROM sales.shop", "3,11.75")
	}
	good("before")

	t.Log("a load that does not fit while it is staged")
	r.csv(many(100_000))
	r.fill(2 << 20)
	r.full(r.tryRefresh("sales.shop"))
	good("after staging")
	if s := r.state("sales.shop"); s.Rows != 3 || s.LastError == "" || s.Todo == "" {
		t.Errorf("status does not tell: %+v", s)
	}
	if left, err := os.ReadDir(filepath.Join(r.data, "stage")); err != nil || len(left) != 0 {
		t.Errorf("what was staged is left over: %v %v", left, err)
	}

	t.Log("not one byte: neither a load, nor a change in the books, nor a start")
	r.csv("1,pen,1.50\n2,ink,7.25\n3,pad,4.00")
	r.fill(0)
	fillRest(t, r.data)
	r.full(r.tryRefresh("sales.shop"))
	good("with a full disk")
	_, err := r.node.Apply(context.Background(), tester, serve.ApplyRequest{Archive: r.pack("sums"), Dir: filepath.Join(r.dir, "sums")}, nil)
	r.full(err)
	_, err = r.node.Pause(context.Background(), tester, mustName(t, "sales.shop"))
	r.full(err)
	if s := r.state("sales.shop"); s.State == weft.StatePaused {
		t.Error("it is paused though the books do not say so")
	}
	r.restart()
	good("started with a full disk")

	t.Log("with room, everything goes on by itself")
	r.free()
	if _, err := r.node.Refresh(context.Background(), tester, mustName(t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil); err != nil { // its own loop may have been first
		t.Error(err)
	}
	r.want("SELECT count(*), sum(price) FROM sales.shop", "3,12.75")
	r.apply("sums", serve.OutcomeCommitted)
	r.want("SELECT value FROM insights.sums", "12.75")

	t.Log("folding")
	p, err := r.node.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	r.fill(0)
	fillRest(t, r.data)
	r.full(p.store.Compact(context.Background(), true))
	r.want("SELECT count(*), sum(price) FROM sales.shop", "3,12.75")
	r.free()
	if err := p.store.Compact(context.Background(), true); err != nil {
		t.Error(err)
	}
	r.want("SELECT count(*), sum(price) FROM sales.shop", "3,12.75")
	r.want("SELECT count(*), sum(price) FROM sales.shop", "3,11.75", "sales.shop#2")

	t.Log("the load that did not fit, once it does")
	r.csv(many(100_000))
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.want("SELECT count(*) FROM sales.shop", "100000")
	r.restart()
	r.want("SELECT count(*) FROM sales.shop", "100000")
}

// fillRest takes what is left of the last block.
func fillRest(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}
