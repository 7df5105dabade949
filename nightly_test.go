package weft_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeGo stands for the go command in the nightly script: it writes down what
// it is asked, and fails where the arguments hold $FAILS.
const fakeGo = `#!/usr/bin/env bash
echo "$*" >> "$CALLS"
if [ "$1" = list ]; then
  echo "weft/none $PLACE/none"; echo "weft/two $PLACE/two"; echo "weft/bare $PLACE/bare"
  exit 0
fi
if [ -n "$FAILS" ] && [[ "$*" == *"$FAILS"* ]]; then exit 3; fi
exit 0
`

// TestNightly runs the nightly script with a go command that only takes notes:
// every fuzz target is run though most packages have none, and a part that
// fails neither hides the others nor is forgotten.
func TestNightly(t *testing.T) {
	script, err := os.ReadFile("scripts/nightly.sh")
	if err != nil {
		t.Fatal(err)
	}
	nightly := func(t *testing.T, fails string, env ...string) (calls, out string, failed bool) {
		t.Helper()
		place := t.TempDir()
		for name, text := range map[string]string{
			"scripts/nightly.sh": string(script),
			"scripts/setup.sh":   "#!/usr/bin/env bash\n",
			"bin/go":             fakeGo,
			"none/a_test.go":     "package none\n\nfunc TestA(t *testing.T) {}\n",
			"two/a_test.go":      "package two\n\nfunc FuzzOne(f *testing.F) {}\n",
			"two/b_test.go":      "package two\n\nfunc FuzzTwo(f *testing.F) {}\n",
			"bare/a.go":          "package bare\n",
		} {
			p := filepath.Join(place, name)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		log := filepath.Join(place, "calls")
		cmd := exec.Command("bash", filepath.Join(place, "scripts/nightly.sh"))
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(place, "bin")+":"+os.Getenv("PATH"),
			"PLACE="+place, "CALLS="+log, "FAILS="+fails, "PARTS=.")
		cmd.Env = append(cmd.Env, env...)
		b, err := cmd.CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		noted, _ := os.ReadFile(log)
		return string(noted), string(b), err != nil
	}
	last := []string{"-fuzz ^FuzzOne$", "-fuzz ^FuzzTwo$"}

	calls, out, failed := nightly(t, "")
	if failed {
		t.Errorf("nothing failed, yet the script did:\n%s", out)
	}
	for _, want := range append(last, "-race", "./bench", "TestCrashes") {
		if !strings.Contains(calls, want) {
			t.Errorf("no part ran %s:\n%s", want, calls)
		}
	}

	// The first part fails, and one in the middle of the fuzz targets.
	for _, fails := range []string{"TestModel", "FuzzOne"} {
		calls, out, failed = nightly(t, fails)
		if !failed || !strings.Contains(out, "\nnightly: failed: ") {
			t.Errorf("%s failed, yet the script did not say so:\n%s", fails, out)
		}
		for _, want := range last {
			if !strings.Contains(calls, want) {
				t.Errorf("after %s had failed no part ran %s:\n%s", fails, want, calls)
			}
		}
	}

	if calls, out, failed = nightly(t, "", "PARTS=FuzzOne"); failed || !strings.Contains(calls, last[0]) || strings.Contains(calls, last[1]) || strings.Contains(calls, "TestModel") {
		t.Errorf("one part was asked for, and run was:\n%s%s", calls, out)
	}
	if calls, out, failed = nightly(t, "", "PARTS=nothing of the kind"); !failed || !strings.Contains(out, "no part matches") {
		t.Errorf("no part matches, and that is said to be well:\n%s%s", calls, out)
	}
}
