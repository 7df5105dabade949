package engine

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are the system calls that no statement needs and an intruder would:
// programs, other processes, the network, the kernel's own configuration.
var refused = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KILL, unix.SYS_TKILL,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_RT_SIGQUEUEINFO,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_SETNS, unix.SYS_UNSHARE,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_CAPSET,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_SETHOSTNAME, unix.SYS_ACCT, unix.SYS_QUOTACTL,
}

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
	giveRefuse = 0x00050000 | uint32(unix.EPERM)
	giveNoSuch = 0x00050000 | uint32(unix.ENOSYS)
	giveKill   = 0x80000000
)

// syscallFilter is the program that the kernel runs before each system call.
func syscallFilter(machine uint32) []unix.SockFilter {
	f := []unix.SockFilter{
		{Code: bpfLoad, K: offMachine},
		{Code: bpfEqual, Jt: 1, K: machine},
		{Code: bpfGive, K: giveKill}, // another machine's calls have other numbers
		{Code: bpfLoad, K: offNumber},
		{Code: bpfAtMin, Jf: 1, K: 0x40000000},
		{Code: bpfGive, K: giveNoSuch}, // the x32 numbers
		// A new thread is fine, a new process is not; the C library falls back
		// from clone3, whose flags a filter cannot see.
		{Code: bpfEqual, Jf: 1, K: unix.SYS_CLONE3},
		{Code: bpfGive, K: giveNoSuch},
		{Code: bpfEqual, Jf: 4, K: unix.SYS_CLONE},
		{Code: bpfLoad, K: offArgument},
		{Code: bpfBits, Jt: 1, K: unix.CLONE_THREAD},
		{Code: bpfGive, K: giveRefuse},
		{Code: bpfGive, K: giveAllow},
	}
	for _, nr := range append(refused, forks...) {
		f = append(f, unix.SockFilter{Code: bpfEqual, Jf: 1, K: nr}, unix.SockFilter{Code: bpfGive, K: giveRefuse})
	}
	return append(f, unix.SockFilter{Code: bpfGive, K: giveAllow})
}

// limitSyscalls filters the system calls of all threads, and returns "on" or
// why not.
func limitSyscalls() string {
	machine, ok := audit[runtime.GOARCH]
	if !ok {
		return "not known for " + runtime.GOARCH
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "no new privileges: " + err.Error()
	}
	f := syscallFilter(machine)
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	tid, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(f)
	if e != 0 || tid != 0 {
		return "the kernel takes no filter: " + e.Error()
	}
	return "on"
}
