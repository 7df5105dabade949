package serve

import (
	"encoding/hex"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// appendFloat writes the shortest digits that read back as the same float.
func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	case v == 0 && math.Signbit(v):
		return append(dst, "-0.0"...) // readers of JSON take -0 for a whole number, which has no sign
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, bits)
}

func appendDecimal128(dst []byte, v decimal128.Num, scale int32) []byte {
	if hi, lo := v.HighBits(), v.LowBits(); hi == 0 && lo <= math.MaxInt64 || hi == -1 && lo > math.MaxInt64 {
		return appendScaled(dst, int64(lo), scale) // most values fit, and need no big number
	}
	return placePoint(dst, v.BigInt().String(), scale)
}

func appendScaled(dst []byte, v int64, scale int32) []byte {
	if scale == 0 {
		return strconv.AppendInt(dst, v, 10)
	}
	var b [24]byte
	return placePoint(dst, string(strconv.AppendInt(b[:0], v, 10)), scale)
}

// placePoint writes whole digits with the point scale digits from the right.
func placePoint(dst []byte, d string, scale int32) []byte {
	if d[0] == '-' {
		dst, d = append(dst, '-'), d[1:]
	}
	if scale <= 0 {
		dst = append(dst, d...)
		for ; scale < 0 && d != "0"; scale++ {
			dst = append(dst, '0')
		}
		return dst
	}
	whole := len(d) - int(scale)
	if whole > 0 {
		dst = append(dst, d[:whole]...)
		return append(append(dst, '.'), d[whole:]...)
	}
	dst = append(dst, '0', '.')
	for ; whole < 0; whole++ {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

func appendUUID(dst, b []byte) []byte {
	for _, p := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		dst = append(hex.AppendEncode(dst, p), '-')
	}
	return dst[:len(dst)-1]
}
