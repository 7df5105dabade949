package catalog

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word's bytes; what is longer is cut.
const maxWord = 64

// eachWord calls f for every word of a text and where it stands in it, until f
// returns false: runs of letters and digits, parted where small letters turn to
// capitals, as in camelCase and HTTPServer. Of scripts that part no words every
// letter is one.
func eachWord(text string, f func(from, to int) bool) {
	from := -1
	var last, before class // of the letters before this one
	for at, r := range text {
		k := classOf(r)
		if k == mark {
			if k = last; from < 0 {
				k = other
			}
		}
		switch {
		case from < 0:
		case k == other || k == ideograph || last == ideograph || k == capital && last == small:
			if !f(from, at) {
				return
			}
			from = -1
		case k == small && last == capital && before == capital:
			_, n := utf8.DecodeLastRuneInString(text[:at])
			if !f(from, at-n) {
				return
			}
			from = at - n
		}
		if k != other && from < 0 {
			from = at
		}
		before, last = last, k
	}
	if from >= 0 {
		f(from, len(text))
	}
}

// class is what a letter does to the word it stands in.
type class uint8

const (
	other class = iota
	small
	capital
	plain     // a digit, or a letter that is neither
	ideograph // a word by itself
	mark      // belongs to the letter before
)

func classOf(r rune) class {
	switch {
	case r >= 'a' && r <= 'z':
		return small
	case r >= 'A' && r <= 'Z':
		return capital
	case r >= '0' && r <= '9':
		return plain
	case r < utf8.RuneSelf:
		return other
	case unicode.IsLower(r):
		return small
	case unicode.IsUpper(r):
		return capital
	case r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
		return ideograph
	case unicode.IsLetter(r), unicode.IsDigit(r):
		return plain
	case unicode.Is(unicode.Mn, r):
		return mark
	}
	return other
}

// eachTerm calls f for every folded word of a text and where it stands. Of names
// that are written in one, the whole counts as a word as well, where the name is a
// telling one: flightnumber finds flight_number.
func eachTerm(t text, f func(from, to int, w string, whole bool) bool) {
	var whole strings.Builder
	n, from, end, on := 0, 0, -1, true
	finish := func() {
		if on && n > 1 && n <= 4 && t.field <= fieldTag {
			on = f(from, end, whole.String(), true)
		}
		whole.Reset()
		n = 0
	}
	eachWord(t.text, func(at, to int) bool {
		w := fold(t.text[at:to])
		if w == "" {
			return true
		}
		if end >= 0 && end != at && (at-end > 1 || !strings.Contains("_- ", t.text[end:at])) {
			finish()
		}
		if n == 0 {
			from = at
		}
		n, end = n+1, to
		if n <= 4 && t.field <= fieldTag {
			whole.WriteString(w)
		}
		on = on && f(at, to, w, false)
		return on
	})
	finish()
}

// fold writes a word in small letters without accents, at most maxWord bytes.
func fold(w string) string {
	capitals, ascii := false, true
	for i := range len(w) {
		ascii = ascii && w[i] < utf8.RuneSelf
		capitals = capitals || w[i] >= 'A' && w[i] <= 'Z'
	}
	switch {
	case !ascii:
		w = foldMarks(w)
	case capitals:
		w = strings.ToLower(w)
	}
	if len(w) <= maxWord {
		return w
	}
	cut := maxWord
	for cut > 0 && !utf8.RuneStart(w[cut]) {
		cut--
	}
	return w[:cut]
}

func foldMarks(w string) string {
	if len(w) > 8*maxWord {
		w = strings.ToValidUTF8(w[:8*maxWord], "")
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(w)) {
		switch {
		case r == 'ß':
			b.WriteString("ss")
		case r == 'ø':
			b.WriteByte('o')
		case r == 'ł':
			b.WriteByte('l')
		case unicode.IsLetter(r), unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// stem is what a folded word has in common with its other forms: flight of
// flights, delay of delayed. Words with digits and of other alphabets stay.
func stem(w string) string {
	if len(w) < 3 {
		return w
	}
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return w
		}
	}
	if strings.IndexByte("abfhjkopquvwxz", w[len(w)-1]) >= 0 {
		return w // no form of a word ends so
	}
	if s := english.Stem(w, false); s != "" {
		return s
	}
	return w
}

// linking are words that hold a question together. They are found like others and
// count for little, and no product has to have them.
var linking = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`a about all an and any are as at be between by can data do find for from get give has have how i in into is it its
		list many me much my of on or our over per show that the their there these this those to under us was we were what when where which who whose why will with you`) {
		m[w] = true
	}
	return m
}()
