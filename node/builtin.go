package node

import (
	"weft/ingest"
	"weft/ingest/files"
	"weft/ingest/postgres"
	"weft/ingest/web"
)

// drivers lists every kind of source by name; there is no registration.
func drivers() ingest.Drivers {
	local := files.New()
	return ingest.Drivers{local, web.New(local), postgres.New()}
}
