package engine

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are the system calls that no statement needs and an intruder would:
// programs, other processes, the network, shared memory, the marks of files, and
// the kernel's own configuration.
var refused = slices.Concat([]uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_MEMFD_CREATE, unix.SYS_PERSONALITY,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_KILL, unix.SYS_TKILL,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES,
	unix.SYS_SETPGID, unix.SYS_SETSID, unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_SETRLIMIT,
	unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR,
}, []uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_SEMGET, unix.SYS_MSGGET, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPENAT2, unix.SYS_FANOTIFY_INIT, unix.SYS_INOTIFY_ADD_WATCH,
	unix.SYS_FCHMOD, unix.SYS_FCHMODAT, 452 /* fchmodat2 */, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
	unix.SYS_GETXATTR, unix.SYS_LGETXATTR, unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR,
}, []uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_SETNS, unix.SYS_UNSHARE,
	unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_SETUP,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_SYSLOG,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_LOOKUP_DCOOKIE,
}, refusedHere)

// refusedPrctl are the ways to change what the process is to its node: whether it
// ends with it, and who may look into it.
var refusedPrctl = []uint32{unix.PR_SET_PDEATHSIG, unix.PR_SET_DUMPABLE, unix.PR_SET_PTRACER, unix.PR_SET_MM, unix.PR_SET_CHILD_SUBREAPER}

// audit is the kernel's name of the machine that this program is built for.
var audit = map[string]uint32{"amd64": 0xc000003e, "arm64": 0xc00000b7}

// Words of the filter's machine language.
const (
	bpfLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	bpfEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	bpfAtMin = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	bpfBits  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	bpfGive  = unix.BPF_RET | unix.BPF_K

	offNumber, offMachine, offArgument = 0, 4, 16

	giveAllow  = 0x7fff0000
	giveAsk    = unix.SECCOMP_RET_USER_NOTIF
	giveRefuse = 0x00050000 | uint32(unix.EPERM)
	giveNoSuch = 0x00050000 | uint32(unix.ENOSYS)
	giveKill   = 0x80000000
)

// argument is where the low half of a call's argument lies.
func argument(n int) uint32 { return uint32(offArgument + 8*n) }

// syscallFilter is the program that the kernel runs before each system call of
// process pid. With ask, opening a file waits for the node's leave.
func syscallFilter(machine uint32, pid int, ask bool) []unix.SockFilter {
	give := func(what uint32) unix.SockFilter { return unix.SockFilter{Code: bpfGive, K: what} }
	load := func(at uint32) unix.SockFilter { return unix.SockFilter{Code: bpfLoad, K: at} }
	f := []unix.SockFilter{
		load(offMachine),
		{Code: bpfEqual, Jt: 1, K: machine},
		give(giveKill), // another machine's calls have other numbers
		load(offNumber),
		{Code: bpfAtMin, Jf: 1, K: 0x40000000},
		give(giveNoSuch), // the x32 numbers
		// A new thread is fine, a new process is not; the C library falls back
		// from clone3, whose flags a filter cannot see.
		{Code: bpfEqual, Jf: 1, K: unix.SYS_CLONE3},
		give(giveNoSuch),
		{Code: bpfEqual, Jf: 4, K: unix.SYS_CLONE},
		load(argument(0)),
		{Code: bpfBits, Jt: 1, K: unix.CLONE_THREAD},
		give(giveRefuse),
		give(giveAllow),
		// A signal to a thread of its own, as Go sends them.
		{Code: bpfEqual, Jf: 4, K: unix.SYS_TGKILL},
		load(argument(0)),
		{Code: bpfEqual, Jt: 1, K: uint32(pid)},
		give(giveRefuse),
		give(giveAllow),
		// Limits may be read, not set: the third argument is what to set.
		{Code: bpfEqual, Jf: 6, K: unix.SYS_PRLIMIT64},
		load(argument(2)),
		{Code: bpfEqual, Jf: 3, K: 0},
		load(argument(2) + 4),
		{Code: bpfEqual, Jf: 1, K: 0},
		give(giveAllow),
		give(giveRefuse),
		// Memory that the limit of a process's memory does not count: shared without a
		// file, and what grows downwards.
		{Code: bpfEqual, Jf: 6, K: unix.SYS_MMAP},
		load(argument(3)),
		{Code: bpfBits, Jt: 3, K: unix.MAP_GROWSDOWN},
		{Code: bpfBits, Jf: 1, K: unix.MAP_SHARED},
		{Code: bpfBits, Jt: 1, K: unix.MAP_ANONYMOUS},
		give(giveAllow),
		give(giveRefuse),
		{Code: bpfEqual, Jf: uint8(2 + 2*len(refusedPrctl)), K: unix.SYS_PRCTL},
		load(argument(0)),
	}
	for _, what := range refusedPrctl {
		f = append(f, unix.SockFilter{Code: bpfEqual, Jf: 1, K: what}, give(giveRefuse))
	}
	f = append(f, give(giveAllow))
	if ask {
		for _, nr := range opens {
			f = append(f, unix.SockFilter{Code: bpfEqual, Jf: 1, K: nr}, give(giveAsk))
		}
	}
	for _, nr := range refused {
		f = append(f, unix.SockFilter{Code: bpfEqual, Jf: 1, K: nr}, give(giveRefuse))
	}
	return append(f, give(giveAllow))
}

// limitSyscalls filters the system calls of all threads, and returns "on" or
// why not. With ask it returns what the node reads the wishes to open from; from
// then on nothing can be opened before the node has that.
func limitSyscalls(ask bool) (how string, wishes int) {
	machine, ok := audit[runtime.GOARCH]
	if !ok {
		return "not known for " + runtime.GOARCH, -1
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "no new privileges: " + err.Error(), -1
	}
	f := syscallFilter(machine, os.Getpid(), ask)
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_TSYNC)
	if ask {
		flags |= unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	got, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(f)
	switch {
	case e != 0:
		return "the kernel takes no filter: " + e.Error(), -1
	case ask:
		return "on", int(got)
	case got != 0:
		return fmt.Sprintf("thread %d could not be confined", got), -1
	}
	return "on", -1
}
