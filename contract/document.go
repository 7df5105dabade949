package contract
// Document is placeholder until reader is written.
type Document struct{}
