package sign

import (
	"bytes"
	"slices"
)

// plain reports whether text in b is ASCII without escapes.
func plain(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c == '\\' || c >= 0x80 })
}

// keySorter writes compact JSON without escapes again, the keys of its objects in
// order.
type keySorter struct {
	in  []byte
	at  int
	bad bool // a key twice: which of them counts is not for this to say
}

// sortKeys sorts the keys of all objects in b.
func sortKeys(b []byte) ([]byte, bool) {
	s := &keySorter{in: b}
	out := s.value(make([]byte, 0, len(b)))
	return out, !s.bad && s.at == len(b)
}

// value appends the value at the cursor and goes behind it.
func (s *keySorter) value(out []byte) []byte {
	if s.at >= len(s.in) {
		s.bad = true
		return out
	}
	switch s.in[s.at] {
	case '{':
		return s.object(out)
	case '[':
		return s.list(out)
	case '"':
		return append(out, s.text()...)
	}
	from := s.at
	for s.at < len(s.in) && bytes.IndexByte([]byte(",]}"), s.in[s.at]) < 0 {
		s.at++
	}
	s.bad = s.bad || s.at == from
	return append(out, s.in[from:s.at]...)
}

func (s *keySorter) list(out []byte) []byte {
	out = append(out, '[')
	for s.at++; !s.bad && s.peek() != ']'; {
		out = s.value(out)
		if s.peek() == ',' {
			s.at++
			out = append(out, ',')
		}
	}
	s.at++
	return append(out, ']')
}

func (s *keySorter) object(out []byte) []byte {
	type member struct{ key, value []byte }
	var ms []member
	for s.at++; !s.bad && s.peek() != '}'; {
		m := member{key: s.text()}
		s.at++ // the colon
		m.value = s.value(nil)
		ms = append(ms, m)
		if s.peek() == ',' {
			s.at++
		}
	}
	s.at++
	if s.bad {
		return out
	}
	slices.SortFunc(ms, func(a, b member) int { return bytes.Compare(a.key[1:len(a.key)-1], b.key[1:len(b.key)-1]) })
	out = append(out, '{')
	for i, m := range ms {
		if i > 0 {
			out = append(out, ',')
			s.bad = s.bad || bytes.Equal(ms[i-1].key, m.key)
		}
		out = append(append(append(out, m.key...), ':'), m.value...)
	}
	return append(out, '}')
}

// peek is the byte at the cursor; at the end it says that something is wrong.
func (s *keySorter) peek() byte {
	if s.at >= len(s.in) {
		s.bad = true
		return 0
	}
	return s.in[s.at]
}

// text is the text at the cursor with its quotes.
func (s *keySorter) text() []byte {
	from := s.at
	end := -1
	if s.at < len(s.in) {
		end = bytes.IndexByte(s.in[s.at+1:], '"')
	}
	if end < 0 {
		s.bad = true
		return nil
	}
	s.at += end + 2
	return s.in[from:s.at]
}
