// Package serve holds what every door shares: the words of the API, the
// interfaces that the node implements for a door, the formats an answer can
// take, and how an error looks on the wire. A door (serve/http and later ones)
// translates one protocol to weft.Querier and these interfaces, nothing more.
package serve
