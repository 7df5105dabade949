package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A worker may spill what its session may: the engine counts that, the kernel
// bounds each file, and the node looks at the folder now and then, and at what was
// removed from it and is still held, which counts what neither the engine nor a limit
// of one file sees. With the worker its folder goes.

// spillEvery is how often the node looks.
const spillEvery = time.Second

// spillSlack is what a folder may have above the session's limit: the engine
// counts blocks, the file system whole pages and folders.
const spillSlack = 32 << 20

// setTemp says where the worker spills to and how much that may be.
func (p *process) setTemp(dir string, most int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.temp, p.spill = dir, most
}

// clean removes what the worker has spilled, once it is gone.
func (p *process) clean() {
	p.mu.Lock()
	dir := p.temp
	p.mu.Unlock()
	if dir != "" {
		_ = os.RemoveAll(dir) // what is left goes when the node starts
	}
}

// spillsOver reports whether the worker has spilled more than it may.
func (p *process) spillsOver() bool {
	p.mu.Lock()
	dir, most := p.temp, p.spill
	p.mu.Unlock()
	if dir == "" {
		return false
	}
	return folderSize(dir)+unlinkedSize(p.cmd.Process.Pid, dir) > most+spillSlack
}

// unlinkedSize is what the files take that a process has removed from the disk of a
// folder and holds on to: by a descriptor, or by having mapped them, of which what is
// mapped counts.
func unlinkedSize(pid int, dir string) (size int64) {
	var disk unix.Stat_t
	if unix.Stat(dir, &disk) != nil {
		return 0
	}
	proc := "/proc/" + strconv.Itoa(pid)
	held := map[string]int64{} // by inode
	fds, _ := os.ReadDir(proc + "/fd")
	for _, fd := range fds {
		var st unix.Stat_t
		if unix.Stat(proc+"/fd/"+fd.Name(), &st) == nil && st.Dev == disk.Dev && st.Nlink == 0 && st.Mode&unix.S_IFMT == unix.S_IFREG {
			held[strconv.FormatUint(st.Ino, 10)] = st.Blocks * 512
		}
	}
	mapped := map[string]int64{}
	maps, _ := os.ReadFile(proc + "/maps")
	for line := range strings.Lines(string(maps)) {
		if n, ino := removed(line, dir); n > 0 {
			mapped[ino] += n
		}
	}
	for ino, n := range mapped {
		held[ino] = max(held[ino], n)
	}
	for _, n := range held {
		size += n
	}
	return size
}

// removed is the length and the inode of a mapping, as the kernel lists it, of a file
// that was removed from a folder; 0 for any other.
func removed(line, dir string) (n int64, ino string) {
	if !strings.HasSuffix(line, " (deleted)\n") || !strings.Contains(line, " "+dir+"/") {
		return 0, ""
	}
	f := strings.Fields(line)
	if len(f) < 6 {
		return 0, ""
	}
	first, last, _ := strings.Cut(f[0], "-")
	from, err := strconv.ParseInt(first, 16, 64)
	if err != nil {
		return 0, ""
	}
	to, err := strconv.ParseInt(last, 16, 64)
	if err != nil {
		return 0, ""
	}
	return to - from, f[4]
}

// folderSize is what the files of a folder take on the disk.
func folderSize(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // gone meanwhile
		}
		if fi, err := e.Info(); err == nil {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok {
				size += st.Blocks * 512 // the unit of st_blocks, whatever the file system
			}
		}
		return nil
	})
	return size
}

// watchSpill ends the workers that spill more than they may.
func (p *Pool) watchSpill() {
	p.mu.Lock()
	live := make([]*process, 0, len(p.live))
	for w := range p.live {
		live = append(live, w)
	}
	p.mu.Unlock()
	for _, w := range live {
		if w.spillsOver() {
			w.kill(EndSpill)
		}
	}
}

// Spilled is what all workers have spilled now, in bytes.
func (p *Pool) Spilled() (size int64) {
	p.mu.Lock()
	var dirs []string
	for w := range p.live {
		w.mu.Lock()
		if w.temp != "" {
			dirs = append(dirs, w.temp)
		}
		w.mu.Unlock()
	}
	p.mu.Unlock()
	for _, d := range dirs {
		size += folderSize(d)
	}
	return size
}
