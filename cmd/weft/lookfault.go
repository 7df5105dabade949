package main

import (
	"errors"
	"strings"

	"weft"
)

// lookFault gives an error of the look at a source the words for somebody who
// writes a product, not for a node that reads it again later.
func lookFault(err error) error {
	var e *weft.Error
	if !errors.As(err, &e) {
		return err
	}
	f := *e
	text := f.Error()
	switch {
	case strings.Contains(f.Hint, "weftTLS"):
		f.Hint = strings.ReplaceAll(f.Hint, "weftTLSRoot", "sslrootcert in the address")
		f.Hint = strings.ReplaceAll(f.Hint, "weftTLS", "sslmode in the address")
	case f.Kind == weft.KindDrift:
		f.Kind, f.Hint = weft.KindInvalid, "give a source with a header and some rows: the folder is written by what is in them"
	case strings.Contains(text, "no file is at"):
		f.Hint = "look at --from; a pattern stands in quotes: --from 'parts/*.csv'"
	case strings.Contains(text, "is not known"):
		f.Hint = "name files that end in .csv, .json, .ndjson or .parquet (also .gz or .zst), like --from 'parts/*.csv'"
	case f.Kind == weft.KindUnavailable:
		f.Hint = "look at the address in --from, and whether this machine may reach it"
	}
	return &f
}
