package engine

import "golang.org/x/sys/unix"

// refusedHere are the refused calls that only this machine has.
var refusedHere = []uint32{unix.SYS_KEXEC_FILE_LOAD}

// opens are the calls that open a file by its path.
var opens = []uint32{unix.SYS_OPENAT}
