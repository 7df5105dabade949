// Package http is the HTTP door: it translates HTTP to weft.Querier and the
// interfaces of package serve. The operations, their validation and the OpenAPI
// document come from the same declarations.
package http

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weft"
)

// Config says where the door is and what it admits.
type Config struct {
	Addr     string   // host:port to listen on; port 0 picks one
	CertFile string   // PEM server certificate and chain, read again when it changes
	KeyFile  string   // PEM key of the certificate
	Hosts    []string // names and addresses, beside Addr's and the loopback's, that requests may be addressed to
	Version  string   // of the program, for the API's document

	OpenMetrics bool // GET /metrics needs no token

	// Peers takes the connections of other nodes, which come in at the same address:
	// those that begin with a TLS hello for PeerProtocol, with that hello still
	// unread. It is called in a goroutine of its own and closes the connection. Nil
	// where the node takes none.
	Peers func(net.Conn)

	// Zero fields take the defaults, which serve people and programs alike.
	HeaderTimeout time.Duration // for a request's header: 10 s
	BodyTimeout   time.Duration // for a request's body: 60 s
	WriteTimeout  time.Duration // for a reader that takes nothing: 60 s
	IdleTimeout   time.Duration // of a kept connection: 120 s
	Drain         time.Duration // for running requests when the door closes: 3 s
	Connections   int           // at once: 1,024
}

func (c Config) withDefaults() Config {
	def := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	def(&c.HeaderTimeout, 10*time.Second)
	def(&c.BodyTimeout, 60*time.Second)
	def(&c.WriteTimeout, 60*time.Second)
	def(&c.IdleTimeout, 120*time.Second)
	def(&c.Drain, 3*time.Second) // the node has waited for questions and loads before
	if c.Connections == 0 {
		c.Connections = 1024
	}
	return c
}

// Validate returns all faults of the configuration, with the field each is about.
func (c Config) Validate() []error {
	var faults []error
	fault := func(field, hint, format string, args ...any) {
		faults = append(faults, weft.Errorf(weft.KindInvalid, "read the configuration", field, format, args...).WithHint("%s", hint))
	}
	host, _, err := net.SplitHostPort(c.Addr)
	switch {
	case err != nil:
		fault("listen", "write it like 127.0.0.1:7070", "the address to listen on is not host:port")
	case !isLoopback(host) && c.CertFile == "":
		fault("listen", "give tls.cert and tls.key, or listen on 127.0.0.1",
			"%s can be reached from other machines, and without TLS tokens and data would travel in the clear", c.Addr)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		fault("tls", "give both tls.cert and tls.key", "a certificate and its key belong together")
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/ *") || (strings.Contains(h, ":") && !isAddress(h)) {
			fault("hosts", "give bare names and addresses, such as weft.example.org", "%q is not the name of a host", h)
		}
	}
	for field, d := range map[string]time.Duration{"header timeout": c.HeaderTimeout, "body timeout": c.BodyTimeout, "write timeout": c.WriteTimeout, "drain": c.Drain} {
		if d < 0 {
			fault(field, "leave it out for the default", "a time cannot be negative")
		}
	}
	return faults
}

// isLoopback reports whether only this machine can reach host.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// hostList is who a request may be addressed to: a page of another name that
// resolves to this machine (DNS rebinding) is not among them.
type hostList []string

func newHostList(c Config) hostList {
	l := hostList{"localhost", "127.0.0.1", "::1"}
	if h, _, err := net.SplitHostPort(c.Addr); err == nil && h != "" && !unspecified(h) {
		l = append(l, canonicalHost(h))
	}
	for _, h := range c.Hosts {
		l = append(l, canonicalHost(h))
	}
	return l
}

func unspecified(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsUnspecified()
}

// canonicalHost takes port, brackets and the root's dot from a Host header.
func canonicalHost(h string) string {
	if name, _, err := net.SplitHostPort(h); err == nil {
		h = name
	}
	h = strings.ToLower(strings.TrimSuffix(strings.Trim(h, "[]"), "."))
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Unmap().String()
	}
	return h
}

func (l hostList) admits(host string) bool { return slices.Contains(l, canonicalHost(host)) }
