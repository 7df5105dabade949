package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A worker may spill what its session may: the engine counts that, the kernel
// bounds each file, and the node looks at the folder now and then, which counts
// what neither the engine nor a limit of one file sees. With the worker its folder
// goes.

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
	return dir != "" && folderSize(dir) > most+spillSlack
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
