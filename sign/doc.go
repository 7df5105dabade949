// Package sign holds canonical bytes, digests and nonces: what makes a stored
// thing provable.
package sign
