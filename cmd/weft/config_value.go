package main

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"weft/openlineage"
)

// each returns what check says of the words, first fault first.
func each(words []string, check func(string) error) error {
	for _, w := range words {
		if err := check(w); err != nil {
			return err
		}
	}
	return nil
}

func notEmpty(v string) error {
	if strings.TrimSpace(v) == "" {
		return fmt.Errorf("it is empty")
	}
	return nil
}

func maxLength(v string, n int) error {
	if len(v) > n {
		return fmt.Errorf("it is longer than %d characters", n)
	}
	return nil
}

func oneOf(v string, values ...string) error {
	if slices.Contains(values, v) {
		return nil
	}
	err := fmt.Errorf("%q is none of %s", v, strings.Join(values, ", "))
	if near := nearest(v, values); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return err
}

func checkAddress(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%q is no address:port", v)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is no port: it is a number from 0 to 65535", port)
	}
	return nil
}

func splitList(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

func parseBytes(v string, least int64) (int64, error) {
	n, err := humanize.ParseBytes(v)
	if err != nil || n > 1<<50 {
		return 0, fmt.Errorf("%q is no size: write it like 512MB or 2GiB", v)
	}
	if int64(n) < least {
		return 0, fmt.Errorf("%s is too little: at least %s", v, humanize.IBytes(uint64(least)))
	}
	return int64(n), nil
}

func parseDuration(v string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write it like 30s or 5m", v)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("%s is out of range: from %s to %s", v, least, most)
	}
	return d, nil
}

func parseBool(v string) (bool, error) {
	if err := oneOf(v, "true", "false"); err != nil {
		return false, err
	}
	return v == "true", nil
}

func parseInt(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number", v)
	}
	if n < least || n > most {
		return 0, fmt.Errorf("%d is out of range: from %d to %d", n, least, most)
	}
	return n, nil
}

// checkEndpoint holds that v is an address that events can be sent to.
func checkEndpoint(v string) error {
	if v == "" {
		return nil
	}
	if err := (openlineage.SenderConfig{URL: v}).Validate(); err != nil {
		return errors.New("it is no URL like https://lineage.example.com/api/v1/lineage, without a user")
	}
	return nil
}

var referenceRE = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// checkVariable holds that a secret is named and not written.
func checkVariable(v string) error {
	if v == "" || referenceRE.MatchString(v) {
		return nil
	}
	return errors.New("a secret does not stand here: write the name of a variable, as ${LINEAGE_KEY}")
}
