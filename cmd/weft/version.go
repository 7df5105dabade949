package main

import (
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version string

// build says what the binary was built from.
var build = sync.OnceValue(func() (b struct{ version, revision, goVersion string }) {
	b.version, b.goVersion = version, runtime.Version()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if b.revision != "" && dirty {
		b.revision += "+"
	}
	return b
})

// programVersion is how the program calls itself: the release, or dev.
func programVersion() string {
	if v := build().version; v != "" {
		return v
	}
	return "dev"
}

func (a *app) versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version of this program", Args: exactly()}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(*cobra.Command, []string) error {
		b := build()
		if format.value == "json" {
			return a.printJSON(map[string]string{
				"version": programVersion(), "revision": b.revision, "go": b.goVersion, "platform": runtime.GOOS + "/" + runtime.GOARCH,
			})
		}
		line := "weft " + programVersion()
		if b.revision != "" {
			line += " (" + revision(b.revision) + ")"
		}
		a.out.printf("%s %s %s/%s\n", line, b.goVersion, runtime.GOOS, runtime.GOARCH)
		return nil
	}
	return c
}
