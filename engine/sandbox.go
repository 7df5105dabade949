package engine

/*
#include "sandbox.h"
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
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
}

// margin is what a worker may have above the memory of its statements: the Go
// side of it, the parser, stacks.
const margin = 192 << 20

// limits bounds what the process can take from the machine.
func (p *Protection) limits(c settings) error {
	base, err := dataSize()
	if err != nil {
		return err
	}
	p.Memory = base + c.Memory + margin + int64(c.Threads)*(16<<20)
	for _, l := range []struct {
		what int
		max  uint64
	}{
		{unix.RLIMIT_DATA, uint64(p.Memory)},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 4096},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit resource %d: %w", l.what, err)
		}
	}
	return nil
}

// dataSize is what the kernel counts against RLIMIT_DATA now.
func dataSize() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
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
	for _, r := range c.Folders {
		if err := allow(int(fd), r, rightsRead&known); err != nil {
			return err.Error()
		}
	}
	for _, r := range c.Files {
		if err := allow(int(fd), r, rightsRead&known); err != nil {
			return err.Error()
		}
	}
	for _, w := range []string{c.Write, c.Temp} {
		if err := allow(int(fd), w, rightsWrite&known); err != nil {
			return err.Error()
		}
	}
	if n := C.weft_restrict_threads(C.int(fd)); n != 0 {
		return fmt.Sprintf("%d threads could not be confined", n)
	}
	return "on"
}

// allow adds what the process may do beneath path. A path that is not there
// needs no rule.
func allow(ruleset int, path string, rights uint64) error {
	if path == "" {
		return nil
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
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
