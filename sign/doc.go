// Package sign holds keys, canonical bytes, digests, nonces and signed records: what
// makes a thing provable that is stored or sent.
package sign
