package engine

/*
#include "leave.h"
*/
import "C"

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A worker that reads by leave can open no file of the data itself: the kernel
// holds each open and asks the node, which opens the file in its place if the
// running statement names it and passes the descriptor. Whatever else the worker
// wants to open is left to Landlock, which lets it have its folder to spill to and
// nothing more. So one warm worker serves any question and sees, each time, the
// files of that question.

// canAsk reports whether the kernel can ask: since 5.19 a wish is not disturbed
// by Go's signals.
func canAsk() bool {
	var u unix.Utsname
	if _, ok := audit[runtime.GOARCH]; !ok || unix.Uname(&u) != nil {
		return false
	}
	parts := strings.SplitN(string(bytes.TrimRight(u.Release[:], "\x00")), ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(strings.TrimRight(parts[1], "-+rc"))
	return major > 5 || major == 5 && minor >= 19
}

// reachable reports whether the node may look into a worker's memory, where the path
// of a wish lies: some machines let nobody do that (ptrace_scope, a container's
// filter). At address 0 nothing lies, which only those who may look are told.
func reachable(pid int) bool {
	b := make([]byte, 1)
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 0, Len: 1}}, 0)
	return err == nil || err == unix.EFAULT
}

// What the kernel and the node say to each other; see seccomp_unotify(2).
type (
	notif struct {
		id    uint64
		pid   uint32
		flags uint32
		nr    int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	notifAnswer struct {
		id    uint64
		val   int64
		errno int32
		flags uint32
	}
	notifFile struct {
		id      uint64
		flags   uint32
		ours    uint32
		theirs  uint32
		fdFlags uint32
	}
)

// leave answers the wishes of one worker. Its files change with each statement.
type leave struct {
	wishes *os.File
	files  atomic.Pointer[map[string]bool]
	end    sync.Once

	// seen, where set, is told of every path that the worker wants to open and
	// whether it is given that, before it is: the oracle of tests.
	seen func(path string, given bool)
}

// newLeave takes the descriptor that a worker has sent.
func newLeave(fd int, seen func(string, bool)) (*leave, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Newer kernels then run the worker on the core that has just answered it.
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	return &leave{wishes: os.NewFile(uintptr(fd), "wishes"), seen: seen}, nil
}

// allow sets the files that may be opened from now on; nil for none.
func (l *leave) allow(files []string) {
	if l == nil {
		return
	}
	set := make(map[string]bool, len(files))
	for _, f := range files {
		set[f] = true
	}
	l.files.Store(&set)
}

// serve answers until the worker is gone or close is called.
func (l *leave) serve() {
	raw, err := l.wishes.SyscallConn()
	if err != nil {
		return
	}
	for {
		var n notif
		var e unix.Errno
		err := raw.Read(func(fd uintptr) bool {
			switch now := state(fd); {
			case now&unix.POLLIN != 0:
				n = notif{}
				_, _, e = unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
			case now != 0: // nobody is left who could wish
				e = unix.EPIPE
			default:
				return false
			}
			return true
		})
		if err != nil || e == unix.EPIPE {
			return
		}
		if e == 0 {
			_ = raw.Control(func(fd uintptr) { l.answer(fd, n) })
		}
	}
}

// state is what poll says of the descriptor, without waiting.
func state(fd uintptr) int16 {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(p, 0); err != nil {
		return 0
	}
	return p[0].Revents
}

// answer opens a file of the statement for the worker, or lets the call take its
// course, which ends at Landlock.
func (l *leave) answer(wishes uintptr, n notif) {
	path := l.path(wishes, n)
	files := l.files.Load()
	allowed := files != nil && (*files)[path] && readsOnly(n)
	if l.seen != nil { // before the worker goes on, and its statement may end
		l.seen(path, allowed)
	}
	if allowed && l.give(wishes, n, path) {
		return
	}
	a := notifAnswer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, wishes, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a))) // an error: it died
}

// path reads the path that the worker wants to open; "" where it cannot be read.
func (l *leave) path(wishes uintptr, n notif) string {
	at := n.args[0]
	if n.nr == unix.SYS_OPENAT {
		at = n.args[1]
	}
	buf := make([]byte, 4096)
	// Only as far as the page's end: the next one may not be there.
	for have := 0; have < len(buf); {
		step := min(4096-int(at+uint64(have))%4096, len(buf)-have)
		local := []unix.Iovec{{Base: &buf[have], Len: uint64(step)}}
		remote := []unix.RemoteIovec{{Base: uintptr(at) + uintptr(have), Len: step}}
		got, err := unix.ProcessVMReadv(int(n.pid), local, remote, 0)
		if err != nil || got == 0 {
			return ""
		}
		if i := bytes.IndexByte(buf[have:have+got], 0); i >= 0 {
			id := n.id
			if _, _, e := unix.Syscall(unix.SYS_IOCTL, wishes, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, uintptr(unsafe.Pointer(&id))); e != 0 {
				return "" // it died, and its number may be another's
			}
			return string(buf[:have+i])
		}
		have += got
	}
	return ""
}

// readsOnly reports whether the call asks to read and no more.
func readsOnly(n notif) bool {
	flags := n.args[1]
	if n.nr == unix.SYS_OPENAT {
		flags = n.args[2]
	}
	return flags&^uint64(unix.O_CLOEXEC|unix.O_NOATIME|unix.O_LARGEFILE|unix.O_NONBLOCK) == unix.O_RDONLY
}

// give opens the file and passes it; false where it cannot be opened, or is none.
func (l *leave) give(wishes uintptr, n notif, path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	f := notifFile{id: n.id, flags: unix.SECCOMP_ADDFD_FLAG_SEND, ours: uint32(fd), fdFlags: unix.O_CLOEXEC}
	return C.weft_give_file(C.int(wishes), unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&f)) == 0
}

// close ends serve. Idempotent, and nothing on nil.
func (l *leave) close() {
	if l != nil {
		l.end.Do(func() { _ = l.wishes.Close() })
	}
}
