package postgres

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"weft"
	"weft/ingest"
)

// tlsWords are the settings that decide how the connection is protected: as the
// server says, else as PGSSLMODE and PGSSLROOTCERT do. Where nothing is said,
// another host has to prove that it is the one that is named.
func tlsWords(r ingest.Request, host string) (mode, root string, err error) {
	s := r.Server
	if mode, err = r.Expand(s.TLS); err != nil {
		return "", "", err
	}
	if root, err = r.Expand(s.TLSRoot); err != nil {
		return "", "", err
	}
	if root != "" && !filepath.IsAbs(root) {
		root = filepath.Join(r.Dir, root)
	}
	if r.Lookup != nil {
		if mode == "" {
			mode, _ = r.Lookup("PGSSLMODE")
		}
		if root == "" {
			if root, _ = r.Lookup("PGSSLROOTCERT"); root == "system" {
				root = ""
			}
		}
	}
	switch {
	case mode != "":
	case local(host):
		mode = "prefer" // nobody is in between
	default:
		mode = "verify-full"
	}
	return mode, root, nil
}

// local says that a connection does not leave the machine.
func local(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// tlsHint says what to do where the connection could not be protected as wanted;
// empty where that is not what went wrong.
func tlsHint(text string) string {
	switch {
	case strings.Contains(text, "refused TLS"):
		return "the server speaks no TLS: switch it on there, or set weftTLS to disable where the network between is your own"
	case strings.Contains(text, "x509"), strings.Contains(text, "certificate"):
		return "the server's certificate does not prove its name: give the authority's certificate with weftTLSRoot, or correct the host"
	case strings.Contains(text, "tls:"):
		return "the TLS handshake failed: look at weftTLS and at the server's ssl settings"
	}
	return ""
}

// noRoot says that the file of authorities is not there.
func noRoot(r ingest.Request, root string, err error) error {
	reason := err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		reason = p.Err // without the machine's folders
	}
	return weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "the authorities of server %q cannot be read from %s", r.Server.Name, filepath.Base(root)).
		WithHint("weftTLSRoot is a file of PEM certificates, relative to the product folder or absolute (%s)", reason)
}
