package http

import (
	"errors"

	"weft"
)

// Reconfigure checks another certificate and other names for the same address;
// take makes new connections and requests use them. Where there was TLS there
// must be, and where there was none there cannot be until the door is made anew.
func (s *Server) Reconfigure(cfg Config) (take func(), err error) {
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if (cfg.CertFile != "") != (s.certs != nil) {
		return nil, weft.Errorf(weft.KindInvalid, "read the configuration", "tls", "TLS cannot be switched on or off while the node runs").
			WithHint("restart the node")
	}
	certs := func() {}
	if s.certs != nil {
		if certs, err = s.certs.other(cfg.CertFile, cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	hosts := newHostList(cfg)
	return func() {
		certs()
		s.hosts.Store(&hosts)
	}, nil
}
