package engine

import "golang.org/x/sys/unix"

// forks are the ways to make a process that only this machine has.
var forks = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
