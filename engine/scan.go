package engine

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"weft"
)

// maxNesting bounds brackets in the text. It is looser than MaxDepth because
// the engine writes a pair for every operator.
const maxNesting = 200

// checkText refuses a text that the engine's parser should not be given.
func checkText(text string) error {
	switch {
	case len(text) > MaxText:
		return weft.Errorf(weft.KindLimit, gateOp, "", "the text has %d bytes, the most is %d", len(text), MaxText).
			WithHint("put long lists into a product and join it")
	case !utf8.ValidString(text):
		return weft.Errorf(weft.KindInvalid, gateOp, "", "the text is not valid UTF-8").
			WithHint("send the query as UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		return weft.Errorf(weft.KindInvalid, gateOp, "", "the text has a zero byte").
			WithHint("send the query as UTF-8 text")
	}
	return checkNesting(text)
}

// bracket counts the arrows of one pair of brackets: the chain being read and the
// longest one yet.
type bracket struct{ chain, longest int }

// checkNesting counts brackets and chained arrows outside strings and comments.
// It knows just enough of the language never to miss one: a string it reads
// otherwise than the engine is at worst refused.
func checkNesting(text string) error {
	stack := []bracket{{}}
	for i := 0; i < len(text); {
		j := skipQuoted(text, i)
		if j > i {
			i = j
			continue
		}
		top := &stack[len(stack)-1]
		switch c := text[i]; {
		case strings.IndexByte("([{", c) >= 0:
			if len(stack) > maxNesting {
				return limitAt(text, i, "brackets are nested deeper than %d", maxNesting)
			}
			stack = append(stack, bracket{})
		case strings.IndexByte(")]}", c) >= 0:
			if len(stack) > 1 {
				inner := stack[len(stack)-1].longest
				stack = stack[:len(stack)-1]
				top = &stack[len(stack)-1]
				top.chain += inner
				top.longest = max(top.longest, top.chain)
			}
		case c == ',' || c == ';':
			top.chain = 0
		case c == '-' && i+1 < len(text) && text[i+1] == '>':
			top.chain++
			top.longest = max(top.longest, top.chain)
			for i+1 < len(text) && text[i+1] == '>' {
				i++
			}
		case strings.IndexByte("+*/%=<>|&!", c) >= 0: // the walker counts what is left
			top.chain = 0
		case isWord(c):
			end := i
			for end < len(text) && isWord(text[end]) {
				end++
			}
			if endsChain[strings.ToLower(text[i:end])] {
				top.chain = 0
			}
			i = end
			continue
		}
		if top.longest > MaxArrows {
			return limitAt(text, i, "more than %d arrows (-> and ->>) are chained", MaxArrows)
		}
		i++
	}
	return nil
}

// endsChain are the words after which a new expression starts.
var endsChain = words(`select from where and or group order having qualify on when then else union except
	intersect limit as between in case by`)

func limitAt(text string, offset int, format string, args ...any) error {
	return weft.Errorf(weft.KindLimit, gateOp, place(text, offset), format, args...).
		WithHint("split the query into WITH parts")
}

// skipQuoted returns the end of the string, quoted name or comment that starts
// at i, or i where none does.
func skipQuoted(text string, i int) int {
	rest := text[i:]
	switch {
	case rest[0] == '\'':
		escapes := i > 0 && (text[i-1] == 'e' || text[i-1] == 'E') && (i == 1 || !isWord(text[i-2]))
		return endOfString(text, i, escapes)
	case rest[0] == '"':
		return endOfString(text, i, false)
	case strings.HasPrefix(rest, "--"):
		if n := strings.IndexAny(rest, "\n\r"); n >= 0 {
			return i + n + 1
		}
		return len(text)
	case strings.HasPrefix(rest, "/*"):
		return endOfComment(text, i)
	case rest[0] == '$' && (i == 0 || !isWord(text[i-1])):
		return endOfDollar(text, i)
	}
	return i
}

// endOfString returns the end of the string that starts at i; a doubled quote
// stands for itself, and so does anything after a backslash where escapes says so.
func endOfString(text string, i int, escapes bool) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

// endOfComment returns the end of the comment that starts at i; comments nest.
func endOfComment(text string, i int) int {
	depth := 0
	for i+1 < len(text) {
		switch text[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(text)
}

// endOfDollar returns the end of the $tag$ … $tag$ string that starts at i, or
// i where there is none ($1 is a parameter).
func endOfDollar(text string, i int) int {
	n := strings.IndexByte(text[i+1:], '$')
	if n < 0 {
		return i
	}
	tag := text[i : i+n+2]
	for k, c := range []byte(tag[1 : len(tag)-1]) {
		if !isWord(c) || k == 0 && c >= '0' && c <= '9' {
			return i
		}
	}
	end := strings.Index(text[i+len(tag):], tag)
	if end < 0 {
		return len(text)
	}
	return i + len(tag) + end + len(tag)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// firstWord returns the first word of the text in small letters, past comments
// and opening brackets.
func firstWord(text string) string {
	for i := 0; i < len(text); {
		if j := skipQuoted(text, i); j > i {
			if text[i] == '\'' || text[i] == '"' {
				return ""
			}
			i = j
			continue
		}
		if isWord(text[i]) {
			end := i
			for end < len(text) && isWord(text[end]) {
				end++
			}
			return strings.ToLower(text[i:end])
		}
		i++
	}
	return ""
}

// place says where a byte of the text is, for people: "at line 2, column 7".
func place(text string, offset int) string {
	if offset < 0 || offset > len(text) {
		return ""
	}
	before := text[:offset]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("at line %d, column %d", line, column)
}

// words makes a set of the words of a text.
func words(text string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}
