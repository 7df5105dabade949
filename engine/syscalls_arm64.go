package engine

// forks are the ways to make a process that only this machine has: none.
var forks []uint32
