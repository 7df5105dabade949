package node

import (
	"weft/ingest"
	"weft/ingest/files"
	"weft/ingest/postgres"
	"weft/ingest/web"
)

// Drivers lists every kind of source by name; there is no registration.
func Drivers() ingest.Drivers {
	local := files.New()
	return ingest.Drivers{local, web.New(local), postgres.New()}
}
