package postgres

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"weft/ingest"
)

// digits encodes text like "-12.50" the way the server sends a numeric.
func digits(s string) []byte {
	sign := uint16(0)
	if strings.HasPrefix(s, "-") {
		sign, s = 0x4000, s[1:]
	}
	whole, part, _ := strings.Cut(s, ".")
	scale := len(part)
	for len(whole)%4 != 0 {
		whole = "0" + whole
	}
	for len(part)%4 != 0 {
		part += "0"
	}
	all := whole + part
	weight := len(whole)/4 - 1
	for len(all) >= 4 && all[:4] == "0000" {
		all, weight = all[4:], weight-1
	}
	for len(all) >= 4 && all[len(all)-4:] == "0000" {
		all = all[:len(all)-4]
	}
	if all == "" {
		weight, sign = 0, 0
	}
	p := binary.BigEndian.AppendUint16(nil, uint16(len(all)/4))
	p = binary.BigEndian.AppendUint16(p, uint16(int16(weight)))
	p = binary.BigEndian.AppendUint16(p, sign)
	p = binary.BigEndian.AppendUint16(p, uint16(scale))
	for i := 0; i < len(all); i += 4 {
		p = binary.BigEndian.AppendUint16(p, uint16(all[i]-'0')*1000+uint16(all[i+1]-'0')*100+uint16(all[i+2]-'0')*10+uint16(all[i+3]-'0'))
	}
	return p
}

// TestNumeric: every decimal comes through digit by digit, or is refused.
func TestNumeric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(0, 20).Draw(t, "scale")
		text := rapid.StringMatching(`(0|[1-9][0-9]{0,17})`).Draw(t, "whole")
		if scale > 0 {
			text += "." + rapid.StringOfN(rapid.SampledFrom([]rune("0123456789")), scale, scale, -1).Draw(t, "part")
		}
		if rapid.Bool().Draw(t, "negative") && strings.Trim(text, "0.") != "" {
			text = "-" + text
		}
		n, err := decodeNumeric(digits(text), scale)
		if err != nil || n.ToString(int32(scale)) != text {
			t.Fatalf("%s came as %s (%v)", text, n.ToString(int32(scale)), err)
		}
		if last := text[len(text)-1]; scale > 0 && last != '0' {
			if _, err := decodeNumeric(digits(text), scale-1); err == nil {
				t.Fatalf("%s lost a decimal", text)
			}
		}
	})
}

func message(fields ...[]byte) []byte {
	p := binary.BigEndian.AppendUint16(nil, uint16(len(fields)))
	for _, f := range fields {
		if f == nil {
			p = binary.BigEndian.AppendUint32(p, 0xffffffff)
			continue
		}
		p = append(binary.BigEndian.AppendUint32(p, uint32(len(f))), f...)
	}
	return p
}

func decoding3() (*decoding, *int) {
	t := &read{columns: []column{
		columnOf("id", "bigint", "b", "int8", -1, "", ""), columnOf("s", "text", "b", "text", -1, "", ""),
		columnOf("l", "numeric[]", "b", "_numeric", -1, "numeric", "b"),
	}}
	for i, c := range t.columns {
		t.bound = append(t.bound, ingest.Binding{Name: c.name, Index: i, Type: c.found.Type, Found: c.found})
	}
	rows := 0
	d := newDecoding(t, 2, 0)
	d.send = func(bs []arrow.RecordBatch) error {
		for _, b := range bs {
			rows += int(b.NumRows())
		}
		release(bs)
		return nil
	}
	return d, &rows
}

// TestMessages: rows may come in pieces of any size.
func TestMessages(t *testing.T) {
	stream := []byte(copyHeader + "\x00\x00\x00\x00\x00\x00\x00\x00")
	for range 5 {
		stream = append(stream, message([]byte("\x00\x00\x00\x00\x00\x00\x00\x07"), []byte("text"), nil)...)
	}
	stream = append(stream, 0xff, 0xff)
	for size := 1; size <= len(stream); size++ {
		d, rows := decoding3()
		for p := stream; len(p) > 0; {
			n := min(size, len(p))
			if _, err := d.Write(p[:n]); err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if err := d.end(); err != nil || *rows != 5 {
			t.Fatalf("pieces of %d: %d rows, %v", size, *rows, err)
		}
	}
	d, _ := decoding3()
	if _, err := d.Write(stream[:len(stream)-2]); err != nil || d.end() == nil {
		t.Error("a stream without its end was taken for whole")
	}
}

// FuzzCopy: no bytes of a server make the decoder panic.
func FuzzCopy(f *testing.F) {
	f.Add(message([]byte("\x00\x00\x00\x00\x00\x00\x00\x07"), []byte("text"), nil))
	f.Add(message(nil, []byte("\xff"), append([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06\xa4\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x0a"), digits("1.5")...)))
	f.Fuzz(func(t *testing.T, p []byte) {
		d, _ := decoding3()
		if _, err := d.Write([]byte(copyHeader + "\x00\x00\x00\x00\x00\x00\x00\x00")); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(p); err == nil {
			_ = d.end()
		}
	})
}

// TestColumnTypes: what has no type of its own comes as text.
func TestColumnTypes(t *testing.T) {
	for _, c := range []struct {
		shown, kind, typ string
		mod              int32
		elem, elemKind   string
		want             string
	}{
		{"numeric(10,2)", "b", "numeric", 10<<16 + 2 + 4, "", "", "numeric(10,2)"},
		{"numeric(40,2)", "b", "numeric", 40<<16 + 2 + 4, "", "", "text"},
		{"numeric(3,-2)", "b", "numeric", 3<<16 + 2046 + 4, "", "", "text"},
		{"integer[]", "b", "_int4", -1, "int4", "b", "integer[]"},
		{"mood[]", "b", "_mood", -1, "mood", "e", "text[]"},
		{"point", "b", "point", -1, "", "", "text"},
		{"int4range", "r", "int4range", -1, "", "", "text"},
		{"address", "c", "address", -1, "", "", "text"},
	} {
		if got := columnOf("x", c.shown, c.kind, c.typ, c.mod, c.elem, c.elemKind).found.Type; got.String() != c.want {
			t.Errorf("%s is %s, want %s", c.shown, got, c.want)
		}
	}
}
