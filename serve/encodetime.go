package serve

import (
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

const (
	secondsPerDay = 86400
	nanosPerDay   = secondsPerDay * int64(1e9)
)

// perSecond is how many of the unit a second has.
func perSecond(u arrow.TimeUnit) int64 {
	switch u {
	case arrow.Second:
		return 1
	case arrow.Millisecond:
		return 1e3
	case arrow.Microsecond:
		return 1e6
	}
	return 1e9
}

// floorDiv divides towards minus infinity.
func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q--
		r += b
	}
	return q, r
}

// appendTimestamp writes ISO 8601, with Z for a point in time. The ends of the
// engine's range, which it writes as infinity, are words.
func appendTimestamp(dst []byte, v int64, unit arrow.TimeUnit, zone bool) []byte {
	switch v {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case -math.MaxInt64:
		return append(dst, "-infinity"...)
	}
	per := perSecond(unit)
	secs, frac := floorDiv(v, per)
	days, secs := floorDiv(secs, secondsPerDay)
	dst = appendDay(dst, days)
	dst = append(dst, 'T')
	dst = appendClock(dst, secs, frac*(1e9/per))
	if zone {
		dst = append(dst, 'Z')
	}
	return dst
}

// appendDate writes a date of the engine, whose range ends in infinity.
func appendDate(dst []byte, days int32) []byte {
	switch days {
	case math.MaxInt32:
		return append(dst, "infinity"...)
	case -math.MaxInt32:
		return append(dst, "-infinity"...)
	}
	return appendDay(dst, int64(days))
}

// appendDay writes a day since 1970-01-01 in the proleptic Gregorian calendar.
// Years before 0 have a sign; 0 is 1 BC. Years past 9999 have none, though ISO
// 8601 wants one: neither the engine nor PostgreSQL reads it.
func appendDay(dst []byte, days int64) []byte {
	y, m, d := civil(days)
	if y < 0 {
		dst, y = append(dst, '-'), -y
	}
	if y < 1000 {
		dst = append(dst, "000"[:4-digits(y)]...)
	}
	dst = strconv.AppendInt(dst, y, 10)
	return append(dst, '-', byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
}

func digits(y int64) int {
	switch {
	case y < 10:
		return 1
	case y < 100:
		return 2
	case y < 1000:
		return 3
	}
	return 4
}

// civil turns days since 1970-01-01 into a date: counted from March, every
// 400-year era has the same length, and months follow a straight line.
func civil(days int64) (y, m, d int64) {
	era, doe := floorDiv(days+719468, 146097)
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	y = yoe + era*400
	if m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}

// appendTime writes a time of day; 24:00:00 is a value of the engine.
func appendTime(dst []byte, v int64, unit arrow.TimeUnit) []byte {
	per := perSecond(unit)
	secs, frac := floorDiv(v, per)
	return appendClock(dst, secs, frac*(1e9/per))
}

// appendClock writes hh:mm:ss with as many digits of the fraction as it has.
func appendClock(dst []byte, secs, nanos int64) []byte {
	two := func(v int64) { dst = append(dst, byte('0'+v/10%10), byte('0'+v%10)) }
	two(secs / 3600)
	dst = append(dst, ':')
	two(secs / 60 % 60)
	dst = append(dst, ':')
	two(secs % 60)
	return appendFraction(dst, nanos)
}

func appendFraction(dst []byte, nanos int64) []byte {
	if nanos == 0 {
		return dst
	}
	dst = append(dst, '.')
	for div := int64(1e8); nanos > 0; div /= 10 {
		dst = append(dst, byte('0'+nanos/div))
		nanos %= div
	}
	return dst
}

// appendInterval writes an ISO 8601 duration.
func appendInterval(dst []byte, months, days int32, nanos int64) []byte {
	dst = append(dst, 'P')
	start := len(dst)
	part := func(v int64, unit byte) {
		if v != 0 {
			dst = append(strconv.AppendInt(dst, v, 10), unit)
		}
	}
	part(int64(months/12), 'Y')
	part(int64(months%12), 'M')
	part(int64(days), 'D')
	if nanos != 0 {
		dst = append(dst, 'T')
		part(nanos/3600e9, 'H')
		nanos %= 3600e9
		part(nanos/60e9, 'M')
		if nanos %= 60e9; nanos != 0 {
			if nanos < 0 {
				dst, nanos = append(dst, '-'), -nanos
			}
			dst = strconv.AppendInt(dst, nanos/1e9, 10)
			dst = append(appendFraction(dst, nanos%1e9), 'S')
		}
	}
	if len(dst) == start {
		dst = append(dst, "T0S"...)
	}
	return dst
}
