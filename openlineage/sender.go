package openlineage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"weft"
	"weft/run"
)

// The bounds of what waits to be sent.
const (
	maxWaiting = 1000            // events
	maxBytes   = 32 << 20        // of all of them
	oneEvent   = 2 * time.Minute // for an event, with all of its tries
	atTheEnd   = 3 * time.Second // for what waits when the node stops
)

// SenderConfig says where events are sent.
type SenderConfig struct {
	URL string // of the endpoint, such as https://marquez.example.com/api/v1/lineage
	Key string // is sent as Authorization: Bearer; none where it is empty
	Env run.Env

	Tries int           // 5 where it is 0
	Wait  time.Duration // before the second try, doubling up to 32 times that; 1 second where it is 0
}

// Validate returns what is wrong with the address.
func (c SenderConfig) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return weft.Errorf(weft.KindInvalid, "check the configuration", "lineage.endpoint", "it is no URL").
			WithHint("write it like https://lineage.example.com/api/v1/lineage")
	}
	if u.User != nil {
		return weft.Errorf(weft.KindInvalid, "check the configuration", "lineage.endpoint", "it holds a user").
			WithHint("give the key by itself, as lineage.key: ${LINEAGE_KEY}")
	}
	return nil
}

// Sender sends events one after the other. Send never waits: what does not fit into
// its bounded queue, and what the endpoint does not take after a few tries, is
// dropped, with one line in the log for a row of them.
type Sender struct {
	cfg    SenderConfig
	client *retryablehttp.Client
	wake   chan struct{}
	events *prometheus.CounterVec // by outcome; nil counts for nobody

	mu      sync.Mutex
	waiting [][]byte
	bytes   int
	ended   bool
	dropped int // since the last that was taken
	said    bool
}

// NewSender makes a sender; Run sends.
func NewSender(cfg SenderConfig) *Sender {
	s := &Sender{cfg: cfg, wake: make(chan struct{}, 1)}
	s.cfg.Env = cfg.Env.Named("openlineage")
	if s.cfg.Wait == 0 {
		s.cfg.Wait = time.Second
	}
	if s.cfg.Tries == 0 {
		s.cfg.Tries = 5
	}
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = s.cfg.Tries - 1
	c.RetryWaitMin, c.RetryWaitMax = s.cfg.Wait, 32*s.cfg.Wait
	c.HTTPClient.Timeout = 20 * time.Second
	c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the key is for this host
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	s.client = c
	if cfg.Env.Metrics != nil {
		s.events = promauto.With(cfg.Env.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "weft_lineage_events_total", Help: "Lineage events for lineage.endpoint by outcome: sent, dropped.",
		}, []string{"outcome"})
	}
	return s
}

// Send takes an event for sending, and returns at once.
func (s *Sender) Send(e Event) {
	b, err := e.JSON()
	if err != nil {
		s.drop(err)
		return
	}
	s.mu.Lock()
	full := s.ended || len(s.waiting) >= maxWaiting || s.bytes+len(b) > maxBytes
	if !full {
		s.waiting = append(s.waiting, b)
		s.bytes += len(b)
	}
	s.mu.Unlock()
	if full {
		s.drop(errors.New("too many events wait to be sent"))
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends what waits until ctx ends, and then, for a moment, what is left.
func (s *Sender) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		for b := s.next(); b != nil && ctx.Err() == nil; b = s.next() {
			s.deliver(ctx, b)
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), atTheEnd)
	defer cancel()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	for b := s.next(); b != nil; b = s.next() {
		s.deliver(last, b)
	}
	return nil
}

func (s *Sender) next() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	b := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.bytes -= len(b)
	return b
}

// deliver sends one event, or drops it.
func (s *Sender) deliver(ctx context.Context, b []byte) {
	ctx, cancel := context.WithTimeout(ctx, oneEvent)
	defer cancel()
	if err := s.post(ctx, b); err != nil {
		s.drop(err)
		return
	}
	s.count("sent")
	s.mu.Lock()
	dropped := s.dropped
	s.dropped, s.said = 0, false
	s.mu.Unlock()
	if dropped > 0 {
		s.cfg.Env.Log.Info("lineage events are taken again", "dropped", dropped)
	}
}

func (s *Sender) post(ctx context.Context, b []byte) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, b)
	if err != nil {
		return errors.New("the endpoint is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	if s.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which may hold a secret
		}
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the endpoint answers %d", resp.StatusCode)
	}
	return nil
}

// drop counts an event that is not sent, and says so for the first of a row.
func (s *Sender) drop(err error) {
	s.count("dropped")
	s.mu.Lock()
	s.dropped++
	first := !s.said
	s.said = true
	s.mu.Unlock()
	if first {
		s.cfg.Env.Log.Warn("lineage events are dropped until the endpoint takes them again", "error", err)
	}
}

func (s *Sender) count(outcome string) {
	if s.events != nil {
		s.events.WithLabelValues(outcome).Inc()
	}
}
