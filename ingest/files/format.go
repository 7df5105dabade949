package files

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"weft"
)

// format is how a file's bytes make rows.
type format string

const (
	csvFormat     format = "csv"
	jsonFormat    format = "json"
	ndjsonFormat  format = "ndjson"
	parquetFormat format = "parquet"
)

var extensions = map[string]format{
	".csv": csvFormat, ".tsv": csvFormat, ".tab": csvFormat, ".psv": csvFormat, ".txt": csvFormat,
	".json": jsonFormat, ".ndjson": ndjsonFormat, ".jsonl": ndjsonFormat, ".parquet": parquetFormat, ".pq": parquetFormat,
}

// names are what a server's format may say.
var names = map[string]format{
	"csv": csvFormat, "tsv": csvFormat, "json": jsonFormat, "ndjson": ndjsonFormat, "jsonl": ndjsonFormat, "jsonlines": ndjsonFormat, "parquet": parquetFormat,
}

// recognise finds the format, by what the server declares and else by the name,
// and the compression, by the first bytes: a wrong name does no harm.
func (f *file) recognise(declared string) error {
	name := strings.ToLower(f.path)
	for _, z := range []string{".gz", ".gzip", ".zst", ".zstd"} {
		name = strings.TrimSuffix(name, z)
	}
	ok := false
	if declared != "" {
		f.format, ok = names[strings.ToLower(declared)]
	} else if i := strings.LastIndexByte(name, '.'); i >= 0 {
		f.format, ok = extensions[name[i:]]
	}
	if !ok {
		return weft.Errorf(weft.KindInvalid, "read the source", f.path, "what the file holds is not known").
			WithHint("set format: csv, json, ndjson or parquet on the server")
	}
	h, err := f.openRaw()
	if weft.KindOf(err) == weft.KindDenied {
		return err
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "read the source", f.path, "%s", plain(err))
	}
	defer h.Close()
	head := make([]byte, 4)
	n, _ := io.ReadFull(h, head)
	f.compression = "none"
	switch head = head[:n]; {
	case f.format == parquetFormat:
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		f.compression = "gzip"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		f.compression = "zstd"
	}
	return nil
}

// open gives the file's content, decompressed.
func (f *file) open() (io.ReadCloser, error) {
	h, err := f.openRaw()
	if err != nil {
		return nil, err
	}
	r, err := decompress(h, f.compression)
	if err != nil {
		h.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{r, h}, nil
}

// maxWindow bounds the memory that a zstd stream may ask for.
const maxWindow = 128 << 20

func decompress(r io.Reader, compression string) (io.Reader, error) {
	switch compression {
	case "gzip":
		return gzip.NewReader(bufio.NewReaderSize(r, 1<<20))
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return r, nil
}
