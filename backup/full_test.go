package backup

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"weft"
	"weft/run"
)

// TestFullDisk backs up to a small file system that is full at one place after
// the other: the states that are there stay whole, what was begun is given back,
// what nobody needs makes room, and with room the next backup is made. It runs in
// a process with mounts of its own; where the machine allows none it is left out.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("mounts a file system")
	}
	if os.Getenv("WEFT_TEST_FULL_DISK") != "" {
		fullDisk(t)
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v=true")
	c.Env = append(os.Environ(), "WEFT_TEST_FULL_DISK=1")
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
	if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Skip("no mounts here: ", err)
	}
	if err := unix.Mount("small", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("no mounts here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	h := newHouse(t)
	dir, filler := filepath.Join(disk, "kept"), filepath.Join(disk, "filler")
	h.commit(weft.OpReplace, 0, 20000)
	h.must(h.s.Compact(t.Context(), true))
	first := h.save(dir, Options{})
	other := t.TempDir()
	h.must(unix.Mount("other", other, "tmpfs", 0, "size=4m"))
	t.Cleanup(func() { _ = unix.Unmount(other, unix.MNT_DETACH) })
	if _, err := Restore(t.Context(), dir, other, RestoreOptions{Env: run.Quiet()}); weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("a restore in the place of a disk: %v", err)
	}
	h.commit(weft.OpReplace, 50000, 20000)
	h.must(h.s.Compact(t.Context(), true))
	was, refused := sizes(t, dir), 0
	for room := 0; ; room += 16 << 10 {
		h.must(fill(disk, filler, room))
		_, err := Save(t.Context(), dir, h.source(), Options{})
		if err == nil {
			break
		}
		refused++
		if !full(err) || weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(weft.HintOf(err), "free space") || strings.Contains(weft.HintOf(err), "data folder") {
			t.Errorf("room for %d bytes: %v (%s)", room, err, weft.HintOf(err))
		}
		h.must(os.Remove(filler))
		is := sizes(t, dir)
		for path, n := range is { // a segment that was begun is longer than a state needs
			if strings.HasSuffix(path, ".weftj") && was[path] > 0 && n > was[path] {
				is[path] = was[path]
			}
		}
		if !maps.Equal(is, was) {
			t.Errorf("room for %d bytes: there was %v, there is %v", room, was, is)
		}
		all, _, err := States(dir)
		if err != nil || len(all) != 1 || all[0].ID != first.ID {
			t.Errorf("room for %d bytes: %d states, %v", room, len(all), err)
		}
		if f, err := verify(t, dir); err != nil || len(f) > 0 {
			t.Errorf("room for %d bytes: %v %v", room, f, err)
		}
	}
	if refused < 4 {
		t.Errorf("it was full %d times", refused)
	}
	h.must(os.Remove(filler))
	// What no state names any more, or never did, is room.
	h.commit(weft.OpReplace, 90000, 20000)
	h.must(h.s.Compact(t.Context(), true))
	left := filepath.Join(dir, filePath(h.id, "left.parquet.tmp"))
	h.must(os.WriteFile(left, make([]byte, 1<<20), 0o600))
	h.must(fill(disk, filler, 0))
	h.save(dir, Options{})
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Errorf("%v %v", f, err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what was left over is still there")
	}
}

// fill takes all of a disk but room bytes.
func fill(disk, filler string, room int) error {
	hole := filepath.Join(disk, "hole")
	if err := os.WriteFile(hole, make([]byte, room), 0o600); err != nil {
		return fmt.Errorf("room for %d bytes: %w", room, err)
	}
	f, err := os.OpenFile(filler, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return errors.Join(f.Close(), os.Remove(hole))
}
