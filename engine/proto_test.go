package engine

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sys/unix"

	"weft"
	"weft/run"
)

// puppet is a session whose worker says what the test says, with files along with
// it, and then nothing.
func puppet(t testing.TB, says []byte, files ...int) *session {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range pair {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	go func() {
		if len(files) > 0 {
			_, _, _ = ends[1].WriteMsgUnix(says[:1], unix.UnixRights(files...), nil)
			for _, fd := range files {
				_ = unix.Close(fd)
			}
			says = says[1:]
		}
		_, _ = ends[1].Write(says)
		_ = ends[1].CloseWrite()
	}()
	t.Cleanup(func() { ends[0].Close(); ends[1].Close() })
	p := &process{cmd: &exec.Cmd{}, wire: newWire(ends[0]), stderr: &tail{}, gone: make(chan struct{}), oom: oomKills()}
	close(p.gone)
	return &session{pool: NewPool(PoolConfig{}, run.Quiet()), proc: p}
}

// frame is one frame's bytes.
func frame(kind byte, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	b[4] = kind
	return append(b, payload...)
}

// honest is the frames of a true answer.
func honest(t testing.TB) []byte {
	list, _, err := array.FromJSON(memoryOf(), arrow.MapOf(arrow.BinaryTypes.String, arrow.ListOf(arrow.FixedWidthTypes.Boolean)),
		strings.NewReader(`[[{"key": "a", "value": [true, null]}], null, []]`))
	if err != nil {
		t.Fatal(err)
	}
	b := numbers(0, 3)
	sc := arrow.NewSchema(append(b.Schema().Fields(), arrow.Field{Name: "m", Type: list.DataType(), Nullable: true}), nil)
	b = array.NewRecordBatch(sc, append(b.Columns(), list), 3)
	head, err := encodeSchema(sc)
	if err != nil {
		t.Fatal(err)
	}
	parts, _ := encodeBatch(b)
	return slices.Concat(frame(frameSchema, head), frame(frameBatch, bytes.Join(parts, nil)),
		frame(frameProgress, []byte("0.5")), frame(frameEnd, []byte(`{"id":1,"rows":3}`)))
}

// hear reads an answer as a caller does.
func hear(t testing.TB, says []byte) (rows int64, err error) {
	s := puppet(t, says)
	r, err := s.Query(t.Context(), Statement{SQL: "select 1"})
	if err != nil {
		return 0, err
	}
	defer r.Release()
	for r.Next() {
		for _, c := range r.RecordBatch().Columns() {
			for i := range c.Len() {
				_ = c.ValueStr(i)
			}
		}
		rows += r.RecordBatch().NumRows()
	}
	return rows, r.Err()
}

func TestHonestWorker(t *testing.T) {
	if n, err := hear(t, honest(t)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
}

// TestTornAnswer cuts an answer at every byte: what is not whole is an error.
func TestTornAnswer(t *testing.T) {
	all := honest(t)
	for i := 0; i < len(all); i += 1 + len(all)/300 {
		if _, err := hear(t, all[:i]); weft.KindOf(err) != weft.KindUnavailable {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// TestHeldFrames holds that held frames go in their order: by themselves, before the
// next one, and before one that comes with files.
func TestHeldFrames(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(pair[0]), "end")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(c.(*net.UnixConn))
	for _, err := range []error{
		w.hold(frameSchema, []byte("one")), w.hold(frameBatch, []byte("tw"), []byte("o")), w.flush(), w.flush(),
		w.hold(frameSchema, []byte("three")), w.send(frameEnd, nil, []byte("four")),
		w.hold(frameSchema, []byte("five")), w.send(frameEnd, []int{0}, []byte("six")), w.send(frameEnd, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	got, err := io.ReadAll(os.NewFile(uintptr(pair[1]), "end"))
	want := slices.Concat(frame(frameSchema, []byte("one")), frame(frameBatch, []byte("two")), frame(frameSchema, []byte("three")), frame(frameEnd, []byte("four")),
		frame(frameSchema, []byte("five")), frame(frameEnd, []byte("six")), frame(frameEnd, nil))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
	if w.hold('?', nil) == nil {
		t.Error("a frame of no kind is held")
	}
}

// TestFilesNobodyTakes holds that files which come with an answer that is not
// used are closed.
func TestFilesNobodyTakes(t *testing.T) {
	for name, says := range map[string]string{
		"a fault":               `{"fault":{"kind":"internal","message":"x"}}`,
		"one where none is due": `{"ready":{"leave":false}}`,
		"two where one is due":  `{"ready":{"leave":true}}`,
		"no answer":             `{`,
	} {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		send := []int{pipe[1]}
		if strings.HasPrefix(name, "two") {
			other, err := unix.Dup(pipe[1])
			if err != nil {
				t.Fatal(err)
			}
			send = append(send, other)
		}
		s := puppet(t, frame(frameEnd, []byte(says)), send...)
		err := s.configure(t.Context(), settings{})
		if (err == nil) != strings.HasPrefix(name, "one") {
			t.Errorf("%s: %v", name, err)
		}
		// The end of the pipe is seen when nobody holds the other one.
		if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("%s: the files that came are still open: %d %v", name, n, err)
		}
		unix.Close(pipe[0])
	}
}

func FuzzAnswer(f *testing.F) {
	all := honest(f)
	f.Add(all)
	f.Add(frame(frameEnd, []byte(`{"id":1}`)))
	f.Add(frame(frameBatch, make([]byte, 64)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, frameBatch, 0, 0, 0})
	for i := 9; i < len(all); i += 37 {
		b := bytes.Clone(all)
		b[i] ^= 0x80
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		_, _ = hear(t, says)
	})
}

// FuzzBatch reads foreign bytes as rows of a schema with every kind of array.
func FuzzBatch(f *testing.F) {
	frames := honest(f)
	n := int(binary.LittleEndian.Uint32(frames))
	sc, err := decodeSchema(frames[8 : 8+n])
	if err != nil {
		f.Fatal(err)
	}
	rest := frames[8+n:]
	good := rest[8 : 8+int(binary.LittleEndian.Uint32(rest))]
	f.Add(good)
	for i := 0; i < len(good); i += 8 {
		b := bytes.Clone(good)
		b[i]++
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := decodeBatch(sc, b)
		if err != nil {
			return
		}
		defer rows.Release()
		for _, c := range rows.Columns() {
			for i := range c.Len() {
				_ = c.ValueStr(i)
			}
		}
	})
}

// FuzzSchema reads foreign bytes as a schema.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(`[{"name":"a","kind":"decimal","p":38},{"kind":"list","parts":[{"kind":"utf8"}]}]`))
	f.Add([]byte(`[{"kind":"map","parts":[{"kind":"int8"},{"kind":"struct"}]},{"kind":"fixed_size_list","size":3,"parts":[{"kind":"null"}]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		sc, err := decodeSchema(b)
		if err != nil {
			return
		}
		again, err := encodeSchema(sc)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeSchema(again); err != nil || !same.Equal(sc) {
			t.Fatal(err, sc, same)
		}
	})
}
