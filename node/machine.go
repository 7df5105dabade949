package node

import (
	"golang.org/x/sys/unix"
)

// totalMemory is the machine's memory in bytes, or 4 GB where it cannot be told.
func totalMemory() int64 {
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err != nil {
		return 4 << 30
	}
	return int64(i.Totalram) * int64(i.Unit) //nolint:unconvert // the fields' widths differ by architecture
}

// freeDisk is the space left on the file system of dir, in bytes.
func freeDisk(dir string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}
