package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probes are jobs that only the workers of these tests know: what an intruder who
// runs code in a worker would try.
var probes = map[string]func(string) string{
	"try":   tryAll,
	"fill":  fill,
	"rest":  func(string) string { giveBack(); return "" },
	"spin":  func(string) string { spin(); return "" },
	"abort": func(string) string { _ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGABRT); select {} },
}

// spin ignores everything, as code of the engine may that looks at no interrupt.
func spin() {
	for {
		runtime.Gosched()
	}
}

// fill writes files of 8 MB into a folder until that fails, which are named, unlinked
// and open, or unlinked and mapped; or one file for ever.
func fill(text string) string {
	var t target
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err.Error()
	}
	block := make([]byte, 8<<20)
	var size int
	for i := 0; ; i++ {
		name := "one"
		if t.Linked != "" {
			name = strconv.Itoa(i)
		}
		f, err := os.OpenFile(filepath.Join(t.Temp, name), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err == nil {
			var n int
			n, err = f.Write(block)
			size += n
			if t.Linked == "unlinked" || t.Linked == "mapped" {
				err = errors.Join(err, os.Remove(f.Name()))
			}
			if t.Linked == "mapped" {
				err = errors.Join(err, second(unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_PRIVATE)))
			}
			if t.Linked == "unlinked" {
				defer f.Close()
			} else {
				f.Close()
			}
		}
		if err != nil {
			return fmt.Sprintf("%d MB: %v", size>>20, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// target is what the probe is told of the world outside its worker.
type target struct {
	Node    int      // the process that started it
	Sibling int      // another worker
	Opens   []string // paths that it must not open
	Temp    string   // its own folder, where it may write
	Write   []string // paths that it must not write
	Linked  string   // a link to lay in its folder, to something outside
}

// try is one attempt; "" is that it was refused, else what it got.
type try struct {
	name string
	f    func(target) string
}

// denied is "" for an error, which is what each attempt must end in.
func denied(err error) string {
	if err == nil {
		return "done"
	}
	return ""
}

func errno(e unix.Errno) string {
	if e == 0 {
		return "done"
	}
	return ""
}

func tryAll(text string) string {
	var t target
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err.Error()
	}
	got := map[string]string{}
	for _, a := range slices.Concat(tryFiles(t), tryProcesses, tryKernel) {
		if s := a.f(t); s != "" {
			got[a.name] = s
		}
	}
	b, err := json.Marshal(got)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// tryFiles tries to read and write what is outside the worker's folders.
func tryFiles(t target) []try {
	var all []try
	for _, p := range t.Opens {
		for name, flags := range map[string]int{"read": unix.O_RDONLY, "read without following": unix.O_RDONLY | unix.O_NOFOLLOW, "list": unix.O_RDONLY | unix.O_DIRECTORY} {
			all = append(all, try{name + " " + p, func(target) string {
				fd, err := unix.Open(p, flags, 0)
				if err == nil {
					defer unix.Close(fd)
				}
				return denied(err)
			}})
		}
	}
	for _, p := range t.Write {
		all = append(
			all,
			try{"write " + p, func(target) string { return denied(os.WriteFile(p, []byte("x"), 0o600)) }},
			try{"make a folder " + p, func(target) string { return denied(unix.Mkdir(p+"-dir", 0o700)) }},
			try{"link to " + p, func(target) string { return denied(unix.Symlink("/etc/passwd", p+"-link")) }},
			try{"move to " + p, func(t target) string {
				f := filepath.Join(t.Temp, "mine")
				_ = os.WriteFile(f, nil, 0o600)
				return denied(unix.Rename(f, p))
			}},
			try{"change the rights of " + p, func(target) string { return denied(unix.Chmod(filepath.Dir(p), 0o777)) }},
			try{"remove " + p, func(target) string { return denied(unix.Rmdir(filepath.Dir(p))) }},
			try{"shorten " + p, func(t target) string { return denied(unix.Truncate(t.Opens[0], 0)) }},
		)
	}
	return append(
		all,
		try{"lay a link in its folder", func(t target) string { return denied(unix.Symlink(t.Opens[0], filepath.Join(t.Temp, "out"))) }},
		try{"lay a hard link in its folder", func(t target) string { return denied(unix.Link(t.Opens[0], filepath.Join(t.Temp, "hard"))) }},
		try{"read through a link in its folder", func(t target) string { return denied(second(os.ReadFile(t.Linked))) }},
		try{"read past its folder", func(t target) string {
			up := strings.Repeat("/..", strings.Count(t.Temp, "/"))
			return denied(second(os.ReadFile(t.Temp + up + "/etc/passwd")))
		}},
		try{"make a device", func(t target) string {
			return denied(unix.Mknod(filepath.Join(t.Temp, "null"), unix.S_IFCHR|0o600, 0x103))
		}},
		try{"make a pipe", func(t target) string { return denied(unix.Mknod(filepath.Join(t.Temp, "fifo"), unix.S_IFIFO|0o600, 0)) }},
		try{"environment beyond its own", func(target) string {
			var extra []string
			for _, e := range os.Environ() {
				if !slices.Contains(workerEnviron, e) {
					extra = append(extra, e)
				}
			}
			return strings.Join(extra, " ")
		}},
		try{"inherited descriptors", inherited},
	)
}

func second[T any](_ T, err error) error { return err }

// inherited finds descriptors that the worker did not make itself: Go and the
// engine mark theirs to be closed on exec.
func inherited(target) string {
	var found []string
	for fd := 3; fd < 4096; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			found = append(found, strconv.Itoa(fd))
		}
	}
	return strings.Join(found, " ")
}

// tryProcesses tries to reach its node, its siblings and other programs.
var tryProcesses = []try{
	{"stop the node", func(t target) string { return denied(unix.Kill(t.Node, unix.SIGTERM)) }},
	{"see whether the node is there", func(t target) string { return denied(unix.Kill(t.Node, 0)) }},
	{"stop a sibling", func(t target) string { return denied(unix.Kill(t.Sibling, unix.SIGTERM)) }},
	{"stop a sibling's thread", func(t target) string { return denied(unix.Tgkill(t.Sibling, t.Sibling, unix.SIGTERM)) }},
	{"signal all", func(target) string { return denied(unix.Kill(-1, 0)) }},
	{"trace the node", func(t target) string { return denied(unix.PtraceAttach(t.Node)) }},
	{"trace a sibling", func(t target) string { return denied(unix.PtraceAttach(t.Sibling)) }},
	{"read the node's memory", func(t target) string {
		b := make([]byte, 8)
		_, err := unix.ProcessVMReadv(t.Node, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
		return denied(err)
	}},
	{"hold the node by a descriptor", func(t target) string { return denied(second(unix.PidfdOpen(t.Node, 0))) }},
	{"start a program", func(target) string { return denied(unix.Exec("/bin/true", []string{"true"}, nil)) }},
	{"start a process", func(target) string {
		_, _, e := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		return errno(e)
	}},
	{"start a process the new way", func(target) string {
		args := [11]uint64{}
		_, _, e := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args[0])), 88, 0)
		return errno(e)
	}},
	{"run a program from memory", func(target) string { return denied(second(unix.MemfdCreate("x", 0))) }},
	{"leave its group", func(target) string { return denied(unix.Setpgid(0, 0)) }},
	{"leave its session", func(target) string { return denied(second(unix.Setsid())) }},
	{"outlive its node", func(target) string { return denied(unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)) }},
	{"go before others", func(target) string { return denied(unix.Setpriority(unix.PRIO_PROCESS, 0, -10)) }},
	{"raise its memory", func(target) string {
		return denied(unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}))
	}},
	{"raise its limits the other way", func(target) string {
		return denied(unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}, nil))
	}},
	{"change the node's limits", func(t target) string {
		return denied(unix.Prlimit(t.Node, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 10, Max: 10}, nil))
	}},
	{"take memory that is not counted", func(target) string { return mapped4K(unix.MAP_SHARED | unix.MAP_ANONYMOUS) }},
	{"take memory that is not counted the new way", func(target) string {
		return mapped4K(unix.MAP_SHARED_VALIDATE | unix.MAP_ANONYMOUS)
	}},
	{"take memory that grows downwards", func(target) string {
		return mapped4K(unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_GROWSDOWN)
	}},
	{"leave a core", func(target) string {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil || l.Cur != 0 || l.Max != 0 {
			return fmt.Sprint(l, err)
		}
		return ""
	}},
	{"become somebody", func(target) string { return denied(unix.Setresuid(1, 1, 1)) }},
}

// mapped4K maps a page with these flags, without a file.
func mapped4K(flags int) string {
	return denied(second(unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, flags)))
}

// tryKernel tries what else a kernel offers.
var tryKernel = append(sockets(), []try{
	{"connect", func(target) string { return denied(second(net.DialTimeout("tcp", "127.0.0.1:22", time.Second))) }},
	{"make a ring", func(target) string {
		p := make([]byte, 120)
		return raw(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&p[0])))
	}},
	{"fault in user space", func(target) string { return raw(unix.SYS_USERFAULTFD, 1) }},
	{"program the kernel", func(target) string { return raw(unix.SYS_BPF, 0) }},
	{"count events", func(target) string { return raw(unix.SYS_PERF_EVENT_OPEN, 0) }},
	{"mount", func(t target) string { return denied(unix.Mount("none", t.Temp, "tmpfs", 0, "")) }},
	{"mount the new way", func(target) string { return denied(second(unix.Fsopen("tmpfs", 0))) }},
	{"take a namespace", func(target) string { return denied(unix.Unshare(unix.CLONE_NEWUSER)) }},
	{"take a namespace of files", func(target) string { return denied(unix.Unshare(unix.CLONE_NEWNS)) }},
	{"change its root", func(t target) string { return denied(unix.Chroot(t.Temp)) }},
	{"share memory", func(target) string {
		return denied(second(unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)))
	}},
	{"use keys", func(target) string {
		return denied(second(unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)))
	}},
	{"watch files", func(target) string { return denied(second(unix.FanotifyInit(0, 0))) }},
	{"open the other way", func(target) string {
		return denied(second(unix.Openat2(unix.AT_FDCWD, "/etc/passwd", &unix.OpenHow{})))
	}},
	{"open by handle", func(target) string {
		return denied(second(unix.OpenByHandleAt(unix.AT_FDCWD, unix.NewFileHandle(1, make([]byte, 8)), 0)))
	}},
	{"set the clock", func(target) string { return denied(unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1})) }},
	{"read the kernel's log", func(target) string { return denied(second(unix.Klogctl(3, make([]byte, 10)))) }},
	{"load a module", func(target) string { return denied(unix.FinitModule(0, "", 0)) }},
	{"another machine's calls", func(target) string {
		return raw(0x40000000 + unix.SYS_GETPID)
	}},
}...)

func raw(nr uintptr, args ...uintptr) string {
	var a [3]uintptr
	copy(a[:], args)
	_, _, e := unix.Syscall(nr, a[0], a[1], a[2])
	return errno(e)
}

// sockets tries every family of sockets that the kernel may have.
func sockets() []try {
	var all []try
	for family := range 46 {
		for name, kind := range map[string]int{"stream": unix.SOCK_STREAM, "datagram": unix.SOCK_DGRAM, "raw": unix.SOCK_RAW} {
			all = append(all, try{fmt.Sprintf("a %s socket of family %d", name, family), func(target) string {
				fd, err := unix.Socket(family, kind, 0)
				if err == nil {
					unix.Close(fd)
				}
				return denied(err)
			}})
		}
	}
	return append(all, try{"a pair of sockets", func(target) string {
		return denied(second(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)))
	}})
}

// probe runs a job of probes in the worker of s.
func probe(t testing.TB, s Session, name string, arg any) string {
	t.Helper()
	b, err := json.Marshal(arg)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.(*session).simple(t.Context(), name, string(b), nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.Text
}

// world makes what a worker must not reach: another product's file, the node's
// token and books, a file that is nobody's.
func world(t *testing.T) (root string, secrets []string) {
	root = t.TempDir()
	for _, f := range []string{"products/other/files/1.parquet", "token", "books.db", "stage/other-1/rows.parquet", "tmp/worker-1/spill", ".env"} {
		p := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("SECRET"), 0o644); err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, p)
	}
	return root, secrets
}

// TestFromInside runs an intruder's attempts in the workers of a question and of a
// load, and wants each refused.
func TestFromInside(t *testing.T) {
	t.Setenv("WEFT_TEST_SECRET", "SECRET")
	leak, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // not marked: every child inherits it
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	root, secrets := world(t)
	stage := filepath.Join(root, "stage/mine")
	if err := os.MkdirAll(stage, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(stage, "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	sibling := testSession(t, nil)
	pid := sibling.(*session).proc.cmd.Process.Pid
	node := os.Getpid()
	paths := append(secrets, "/etc/passwd", "/", "/etc", "/proc/self/environ", "/proc/self/mem", "/proc/self/maps",
		fmt.Sprintf("/proc/%d/environ", node), fmt.Sprintf("/proc/%d/mem", node), fmt.Sprintf("/proc/%d/fd", node), fmt.Sprintf("/proc/%d/root/etc/passwd", node),
		fmt.Sprintf("/proc/%d/cmdline", node), fmt.Sprintf("/proc/%d/mem", pid), "/proc/1/environ", "/proc/kcore", "/dev/mem", "/dev/shm", "/dev/null", "/dev/urandom",
		"/dev/kmsg", "/sys/kernel", "/root", "/home", "/tmp", "/var/run/docker.sock", "/usr/bin/env", root, root+"/products", root+"/tmp")
	for name, cfg := range map[string]SessionConfig{
		"question": {Read: []string{root + "/products"}, Leave: true},
		"load":     {Read: []string{stage}, Write: stage},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Name, cfg.Memory, cfg.Threads, cfg.Temp, cfg.TempBytes = name, 64<<20, 1, root+"/tmp", 1<<20
			s, err := testPool(t).Session(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p, _ := ProtectionOf(s)
			if p.Files != "on" || p.Syscalls != "on" || !p.Engine || p.Leave != cfg.Leave {
				t.Skipf("this kernel does not confine: %+v", p)
			}
			got := map[string]string{}
			temp := filepath.Join(root, "tmp", "worker-"+itoa(s.(*session).proc.cmd.Process.Pid))
			text := probe(t, s, "try", target{
				Node: node, Sibling: pid, Opens: paths, Temp: temp, Linked: link,
				Write: []string{root + "/evil", root + "/products/evil", "/tmp/weft-evil", "/dev/shm/weft-evil", filepath.Join(root, "tmp", "evil")},
			})
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(text)
			}
			for what, how := range got {
				t.Errorf("%s: %s", what, how)
			}
			if got := mustAsk(t, s, "select 42"); got != "42\n" { // and it still works
				t.Error(got)
			}
		})
	}
	if b, err := os.ReadFile(secrets[0]); err != nil || string(b) != "SECRET" {
		t.Errorf("%q %v", b, err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Error("the sibling is gone")
	}
	// The attempts mean something only if they would succeed outside.
	if fd, err := unix.Open(secrets[0], unix.O_RDONLY, 0); err != nil {
		t.Error(err)
	} else {
		unix.Close(fd)
	}
	if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}
