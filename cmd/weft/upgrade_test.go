package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weft/store/goldentest"
)

// TestUpSaysWhatItDidToAnOlderFolder starts the program on a folder of version 1,
// and on one of a version that is yet to come.
func TestUpSaysWhatItDidToAnOlderFolder(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, ".weft")
	goldentest.Unpack(t, "../../store/testdata/golden/v1/node.tar.zst", data)
	cmd := exec.Command("weft", "up", dir, "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "ready") {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err, said)
	}
	if !strings.Contains(said, "older format and is upgraded; what was replaced is kept in the folders before-2") {
		t.Errorf("weft up says:\n%s", said)
	}
	if out, err := exec.Command("weft", "verify", dir).CombinedOutput(); err != nil || !strings.Contains(string(out), "no faults") {
		t.Errorf("verify: %v\n%s", err, out)
	}

	path := filepath.Join(data, "books.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(b[60:], 99)
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.Remove(path+".seal")); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("weft", "up", dir, "--listen", "127.0.0.1:0").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(text), "newer Weft (format 99") || !strings.Contains(string(text), "run the newer program") {
		t.Errorf("on a newer folder: %v\n%s", err, text)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(b) {
		t.Error("the newer books were changed", err)
	}
	if out, err := exec.Command("weft", "verify", dir).CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "format version 99") {
		t.Errorf("verify of the newer books: %v\n%s", err, out)
	}
}
