package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"weft"
)

// client retries what did not answer, and follows at most five redirects, none
// of them to another scheme than http and https, nor from https down to http.
func (d *Driver) client() *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = 3
	if d.Tries > 0 {
		c.RetryMax = d.Tries - 1
	}
	c.RetryWaitMin, c.RetryWaitMax = time.Second, 20*time.Second
	if d.Wait > 0 {
		c.RetryWaitMin, c.RetryWaitMax = d.Wait, 8*d.Wait
	}
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if weft.KindOf(err) != weft.KindInternal && err != nil {
			return false, err // refused by us
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	d.once.Do(func() { d.transport = guarded() })
	c.HTTPClient = &http.Client{Transport: d.transport, CheckRedirect: redirect}
	return c
}

func redirect(req *http.Request, via []*http.Request) error {
	no := func(why string) error {
		return weft.Errorf(weft.KindDenied, "read the source", "", "the server redirects %s", why).
			WithHint("put the final address into the contract")
	}
	first := via[0].URL
	switch {
	case len(via) > 5:
		return no("more than five times")
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return no("to another scheme than http and https")
	case first.Scheme == "https" && req.URL.Scheme == "http":
		return no("from https to http")
	}
	if req.URL.Host != first.Host {
		req.Header.Del("Authorization")
	}
	return nil
}

// guarded is a transport that does not talk to link-local addresses, where
// clouds keep the machine's own credentials.
func guarded() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	dial := &net.Dialer{Timeout: 20 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err == nil && metadata(ap.Addr().Unmap()) {
			return weft.Errorf(weft.KindDenied, "read the source", "", "the address leads to a link-local host").
				WithHint("sources are not read from 169.254.0.0/16 and fe80::/10")
		}
		return nil
	}}
	t.DialContext = dial.DialContext
	t.ResponseHeaderTimeout = 60 * time.Second
	return t
}

var cloudMetadata = netip.MustParseAddr("fd00:ec2::254")

func metadata(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a == cloudMetadata }
