package engine

import "golang.org/x/sys/unix"

// refusedHere are the refused calls that only this machine has.
var refusedHere = []uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_CREAT, unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES,
	unix.SYS_FUTIMESAT, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS_KEXEC_FILE_LOAD,
}

// opens are the calls that open a file by its path.
var opens = []uint32{unix.SYS_OPENAT, unix.SYS_OPEN}
