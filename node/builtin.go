package node

import (
	"weft/ingest"
	"weft/ingest/files"
)

// drivers lists every kind of source by name; there is no registration.
func drivers() ingest.Drivers {
	return ingest.Drivers{files.New()}
}
