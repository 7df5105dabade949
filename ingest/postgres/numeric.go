package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

var (
	errNotFinite = errors.New("NaN and infinity have no place in a decimal")
	errTooLong   = errors.New("the number has more than 38 digits")
)

var pow10 = func() (p [77]*big.Int) {
	p[0] = big.NewInt(1)
	for i := 1; i < len(p); i++ {
		p[i] = new(big.Int).Mul(p[i-1], big.NewInt(10))
	}
	return p
}()

var maxDecimal = pow10[38]

// decodeNumeric reads PostgreSQL's base-10000 digits as a decimal of that scale.
// Digits beyond the scale are an error: nothing is rounded.
func decodeNumeric(p []byte, scale int) (decimal128.Num, error) {
	if len(p) < 8 {
		return decimal128.Num{}, errShort
	}
	n, weight := int(binary.BigEndian.Uint16(p)), int(int16(binary.BigEndian.Uint16(p[2:])))
	sign := binary.BigEndian.Uint16(p[4:])
	p = p[8:]
	if len(p) != 2*n {
		return decimal128.Num{}, errShort
	}
	if sign != 0 && sign != 0x4000 {
		return decimal128.Num{}, errNotFinite
	}
	if n == 0 {
		return decimal128.Num{}, nil
	}
	if weight > 10 {
		return decimal128.Num{}, errTooLong
	}
	if n <= 4 {
		if v, ok := smallNumeric(p, weight, scale); ok {
			if sign != 0 {
				v = -v
			}
			return decimal128.FromI64(v), nil
		}
	}
	return bigNumeric(p, weight, scale, sign != 0)
}

// smallNumeric does numbers of up to 16 digits in machine words.
func smallNumeric(p []byte, weight, scale int) (int64, bool) {
	var v int64
	for i := 0; i < len(p); i += 2 {
		v = v*10000 + int64(binary.BigEndian.Uint16(p[i:]))
	}
	shift := scale + 4*(weight-len(p)/2+1) // decimals that are still missing
	for ; shift > 0; shift-- {
		if v > 900_000_000_000_000_000/10 {
			return 0, false
		}
		v *= 10
	}
	for ; shift < 0; shift++ {
		if v%10 != 0 {
			return 0, false
		}
		v /= 10
	}
	return v, true
}

func bigNumeric(p []byte, weight, scale int, negative bool) (decimal128.Num, error) {
	v, d := new(big.Int), new(big.Int)
	for i := 0; i < len(p); i += 2 {
		v.Mul(v, pow10[4]).Add(v, d.SetInt64(int64(binary.BigEndian.Uint16(p[i:]))))
		if v.BitLen() > 8*1024 {
			return decimal128.Num{}, errTooLong
		}
	}
	shift := scale + 4*(weight-len(p)/2+1)
	for ; shift < 0; shift++ {
		m := new(big.Int)
		if v.QuoRem(v, pow10[1], m); m.Sign() != 0 {
			return decimal128.Num{}, fmt.Errorf("the number has more than %d decimals", scale)
		}
	}
	if shift >= len(pow10) {
		return decimal128.Num{}, errTooLong
	}
	if v.Mul(v, pow10[shift]); v.Cmp(maxDecimal) >= 0 {
		return decimal128.Num{}, errTooLong
	}
	if negative {
		v.Neg(v)
	}
	return decimal128.FromBigInt(v), nil
}
