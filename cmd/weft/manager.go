package main

import (
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tellManager tells the service manager that started the process how far it is,
// as sd_notify(3) says: one datagram of lines. Without a manager that wants to
// know, it does nothing; nor does what fails, since nobody is there to act on it.
func tellManager(lines ...string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if name[0] == '@' { // an abstract name
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte(strings.Join(lines, "\n")))
}

// monotonic is the line that goes with RELOADING=1: the manager must know which
// of two reloads was answered.
func monotonic() string {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it cannot fail with this clock
	return "MONOTONIC_USEC=" + strconv.FormatInt(t.Nano()/1000, 10)
}
