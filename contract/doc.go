// Package contract knows ODCS and ODPS: it reads all supported versions,
// validates with positions, writes back, compares, and compiles contracts into
// checks.
package contract
