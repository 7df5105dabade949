// Package sign holds keys, canonical bytes, salted digests and the links of
// hash chains: what makes a stored or received thing provable.
package sign
