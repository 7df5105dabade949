package catalog

import (
	"slices"
	"time"

	"weft"
)

// rank is what decides a product's place besides its words, and by what it is
// filtered, in one word of memory that changes while others search:
//
//	bits 0–7 health, 8–11 state, 12–14 life, 15 it is found, 16–31 origin, 32–51
//	hours since 1970 when the head was checked, 0 where there is none, 63 it is found
//	in views before the one when it left only
type rank uint64

const (
	found   rank = 1 << 15
	leaving rank = 1 << 63
)

func (r rank) health() uint8  { return uint8(r) }
func (r rank) state() uint8   { return uint8(r >> 8 & 15) }
func (r rank) life() uint8    { return uint8(r >> 12 & 7) }
func (r rank) origin() uint16 { return uint16(r >> 16) }
func (r rank) checked() int64 { return int64(r >> 32 & (1<<20 - 1)) }

// hours is a time in a rank.
func hours(t time.Time) int64 { return t.Unix() / 3600 }

var lives = []weft.Life{"", weft.LifeProposed, weft.LifeDraft, weft.LifeActive, weft.LifeDeprecated, weft.LifeRetired}

// lifeCode and stateCode are numbers from 1; 0 is what this program does not know.
func lifeCode(l weft.Life) uint8 { return uint8(max(0, slices.Index(lives, l))) }

func stateCode(s weft.State) uint8 { return uint8(slices.Index(weft.States(), s) + 1) }

// byState is how much of a product's place its state leaves it, of 1. A product
// without a head may be anything.
var byState = map[weft.State]float64{
	weft.StateFresh: 1, weft.StateLoading: 0.85, weft.StateLate: 0.75, weft.StateEmpty: 0.6, weft.StateRefused: 0.6, weft.StatePaused: 0.6,
	weft.StateUpstreamStopped: 0.65, weft.StateSourceLost: 0.65, weft.StateUnreachable: 0.5, weft.StateDamaged: 0.4, weft.StateRetired: 0.25,
}

const unknownState = 0.7

// byLife is the same of the declared life.
var byLife = map[weft.Life]float64{weft.LifeActive: 1, weft.LifeProposed: 0.8, weft.LifeDraft: 0.8, weft.LifeDeprecated: 0.5, weft.LifeRetired: 0.25}

// health is how well a product is, above 0 and at most 1.
func health(l weft.Life, h *head) float64 {
	life, ok := byLife[l]
	if !ok {
		life = unknownState
	}
	if h == nil {
		return life * unknownState
	}
	state, ok := byState[h.state]
	if !ok {
		state = unknownState
	}
	if h.failed > 0 {
		state *= 0.8 - 0.3*float64(h.failed)/(float64(h.failed)+float64(h.passed))
	}
	return life * state
}

// rank is a product's place. The lock is held.
func (c *Catalog) rank(d *doc) rank {
	if d.dead {
		return 0
	}
	h := d.head.Load()
	r := rank(max(1, health(d.life, h)*255)) | rank(lifeCode(d.life))<<12 | found | rank(c.origin(d.origin))<<16
	if h != nil {
		r |= rank(stateCode(h.state)) << 8
		if t := hours(h.checked); t > 0 && t < 1<<20 {
			r |= rank(t) << 32
		}
	}
	return r
}

// healthy is the share that a health in a rank stands for.
var healthy = func() (out [256]float32) {
	for i := range out {
		out[i] = float32(i) / 255
	}
	return out
}()

// byAge is what the age of a head leaves of a product's place: that a product is
// fresh was true when its origin looked.
func byAge(checked, now int64) float32 {
	switch age := now - checked; { // in hours
	case checked == 0 || age < 48:
		return 1
	case age < 14*24:
		return 0.95
	}
	return 0.85
}

// unreached is what is left of the place of a product whose origin cannot be
// reached.
const unreached = 0.8
