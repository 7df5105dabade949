package ingest

import (
	"context"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"weft/contract"
)

// personalSample is how many values of a column are looked at.
const personalSample = 1000

// personal reports whether the values of a column look like data of a person.
// The values are looked at in memory and forgotten.
func personal(ctx context.Context, r Request, s Staged, c contract.ShapeColumn) (bool, error) {
	switch c.Type.Kind {
	case contract.KindString, contract.KindInt64, contract.KindList, contract.KindStruct, contract.KindDecimal:
	default:
		return false, nil
	}
	q := contract.QuoteIdent(c.Name)
	got, err := r.texts(ctx, "SELECT DISTINCT CAST(v AS VARCHAR) FROM (SELECT "+q+" AS v FROM "+from(s)+" WHERE "+q+" IS NOT NULL USING SAMPLE "+strconv.Itoa(personalSample)+" ROWS)")
	if err != nil {
		return false, err
	}
	return looksPersonal(got), nil
}

// looksPersonal holds each value against what identifies people: most of them
// must be an e-mail address, a phone number, an account or card number or a
// network address; of longer texts a tenth must hold an e-mail address.
func looksPersonal(values [][]string) bool {
	var whole [5]int
	holds, n := 0, 0
	for _, v := range values {
		s := strings.TrimSpace(v[0])
		if s == "" {
			continue
		}
		n++
		for i, is := range []func(string) bool{emailRE.MatchString, isPhone, isIBAN, isCard, isIP} {
			if is(s) {
				whole[i]++
			}
		}
		if emailIn.MatchString(s) {
			holds++
		}
	}
	if n == 0 {
		return false
	}
	for i, k := range whole {
		share := 60
		if i == 3 {
			share = 90 // one number in ten passes the check digit by chance
		}
		if k*100 >= n*share {
			return true
		}
	}
	return holds*10 >= n
}

var (
	emailRE = regexp.MustCompile(`^(?i)(mailto:)?[a-z0-9._%+'-]+@[a-z0-9-]+(\.[a-z0-9-]+)+$`)
	emailIn = regexp.MustCompile(`(?i)[a-z0-9._%+'-]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}`)
	phoneRE = regexp.MustCompile(`^(\+|00|\(?0)[0-9 ()./-]{6,}[0-9]$|^\(?[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4}$`)
	dateRE  = regexp.MustCompile(`^[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}`)
	ibanRE  = regexp.MustCompile(`^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$`)
)

func isPhone(s string) bool {
	n := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	// codes with leading zeros are shorter or have no separators
	spaced := strings.ContainsAny(s, "+ ()/-")
	return n >= 8 && n <= 15 && spaced && phoneRE.MatchString(s) && !dateRE.MatchString(s)
}

// isIBAN checks the check digits of an account number.
func isIBAN(s string) bool {
	s = strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if !ibanRE.MatchString(s) {
		return false
	}
	m := 0
	for _, r := range s[4:] + s[:4] {
		if r >= 'A' {
			m = (m*100 + int(r-'A') + 10) % 97
		} else {
			m = (m*10 + int(r-'0')) % 97
		}
	}
	return m == 1
}

// isCard checks the check digit of a payment card's number.
func isCard(s string) bool {
	s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	if len(s) < 13 || len(s) > 19 || s[0] < '2' || s[0] > '6' {
		return false
	}
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i]) - '0'
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// isIP takes addresses of hosts; 1.2.3.4 is also a version, so the whole column
// has to be of them.
func isIP(s string) bool {
	s, _, _ = strings.Cut(s, "/")
	a, err := netip.ParseAddr(s)
	return err == nil && !a.IsUnspecified()
}
