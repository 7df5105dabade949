package engine

/*
#include "sandbox.h"
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Protection says what holds a worker.
type Protection struct {
	Engine   bool   `json:"engine"`   // external access off, configuration locked, settings read back
	Memory   int64  `json:"memory"`   // bytes that the process can have at all
	Syscalls string `json:"syscalls"` // "on", or why no filter of system calls could be set
	Files    string `json:"files"`    // "on", or why the kernel does not confine it to its files
	Leave    bool   `json:"leave"`    // each file is opened by the node, for one statement

	wishes int // what the node reads the wishes to open from, -1 for none
}

// limits bounds what the process can take from the machine. A worker that has
// taken more than its share already is not used.
func (p *Protection) limits(c settings) error {
	used, err := dataSize("self")
	if err != nil {
		return err
	}
	if room := c.Limit - c.Memory; used > room && !raced {
		return fmt.Errorf("a worker takes %d bytes before its first statement, %d are meant for that", used, room)
	}
	p.Memory = c.Limit
	set := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 4096}
	if !raced {
		set[unix.RLIMIT_DATA] = uint64(c.Limit)
	}
	if c.Write == "" { // then all that it can write is what it spills
		signal.Ignore(unix.SIGXFSZ) // too much is an error of the call
		set[unix.RLIMIT_FSIZE] = uint64(c.TempBytes)
	}
	return setLimits(set)
}

// setLimits sets limits that cannot be raised again.
func setLimits(limits map[int]uint64) error {
	for what, most := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit resource %d: %w", what, err)
		}
	}
	return nil
}

// closeInherited closes what the process was started with besides its connection
// and the standard streams: a descriptor that came through exec is one that is
// not marked to be closed by it, and Go marks all its own.
func closeInherited() error {
	d, err := os.ReadDir("/proc/self/fd")
	for _, e := range d {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
	return err
}

// holdBack bounds a worker that does not know yet what it is for.
func holdBack() error {
	if raced {
		return nil
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &old); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: min(SpareMemory, old.Max), Max: old.Max})
}

// dataSize is what the kernel counts against a process's RLIMIT_DATA now.
func dataSize(pid string) (int64, error) {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("VmData:"))
	f := bytes.Fields(rest)
	if !ok || len(f) == 0 {
		return 0, fmt.Errorf("the kernel does not say how much memory the process has")
	}
	kb, err := strconv.ParseInt(string(f[0]), 10, 64)
	return kb << 10, err
}

// Landlock rights, as far as this program knows them: an older kernel is asked
// for fewer.
const (
	rightsRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	rightsWrite = rightsRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	rightsFile = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	rightsAll = rightsWrite | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// limitFiles lets the process see the session's files only, and returns "on" or
// why not.
func limitFiles(c settings) string {
	abi, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return "the kernel has no Landlock"
	}
	known := uint64(rightsAll)
	if abi < 5 {
		known &^= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi < 3 {
		known &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi < 2 {
		known &^= unix.LANDLOCK_ACCESS_FS_REFER
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: known}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if abi >= 4 { // no TCP either
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size = unsafe.Offsetof(attr.Handled_access_net) + unsafe.Sizeof(attr.Handled_access_net)
	}
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if e != 0 {
		return "create a ruleset: " + e.Error()
	}
	defer unix.Close(int(fd))
	for _, r := range c.Rules {
		rights := uint64(rightsRead)
		if r.Write {
			rights = rightsWrite
		}
		if c.Leave && r.Leave {
			continue
		}
		if err := allow(int(fd), r.Path, rights&known); err != nil {
			return err.Error()
		}
	}
	if n := C.weft_restrict_threads(C.int(fd)); n != 0 {
		return fmt.Sprintf("%d threads could not be confined", n)
	}
	return "on"
}

// allow adds what the process may do beneath path, which has no links: one that was
// laid into it since gets no rule, nor does what is not there.
func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES:
		return nil
	default:
		return fmt.Errorf("look at a folder: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= rightsFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if e != 0 {
		return fmt.Errorf("allow a folder: %w", e)
	}
	return nil
}
