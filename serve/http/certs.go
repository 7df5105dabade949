package http

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"weft"
)

// certificates hands out the server's certificate and reads it again when its
// files change, so that a renewal needs no restart.
type certificates struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	looked  time.Time
	now     func() time.Time
}

// other reads another pair of files; take makes it the one that is handed out.
func (c *certificates) other(cert, key string) (take func(), err error) {
	next := &certificates{cert: cert, key: key}
	if err := next.load(); err != nil {
		return nil, err
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cert, c.key, c.current, c.stamp = next.cert, next.key, next.current, next.stamp
	}, nil
}

// lookEvery is how often a handshake looks at the files.
const lookEvery = time.Second

// load reads the files; it is called before listening, where an error counts.
func (c *certificates) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read(c.times())
}

func (c *certificates) read(stamp [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return weft.Errorf(weft.KindInvalid, "read the certificate", c.cert, "%w", err).
			WithHint("tls.cert holds the certificate and its chain, tls.key its key, both as PEM")
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

func (c *certificates) times() (t [2]time.Time) {
	for i, f := range []string{c.cert, c.key} {
		if info, err := os.Stat(f); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}

// get is tls.Config.GetCertificate. Files that cannot be read leave the
// certificate that was: a renewal may be half written.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if t := c.times(); t != c.stamp {
			if err := c.read(t); err != nil {
				c.log.Error("the changed certificate cannot be read, the old one stays", "error", err)
			} else {
				c.log.Info("certificate read again", "file", c.cert)
			}
		}
	}
	return c.current, nil
}
