package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// totalMemory is the memory that this process may count on, in bytes: the
// machine's, or its control group's where that is less; 4 GB where it cannot be
// told.
func totalMemory() int64 {
	total := int64(4 << 30)
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err == nil {
		total = int64(i.Totalram) * int64(i.Unit) //nolint:unconvert // the fields' widths differ by architecture
	}
	for _, f := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
	}
	return total
}

// freeDisk is the space left on the file system of dir, in bytes.
func freeDisk(dir string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}

// freeAbove is the space left where dir is or will be.
func freeAbove(dir string) int64 {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return freeDisk(dir)
		}
		dir = filepath.Dir(dir)
	}
}
