package node

import (
	"github.com/dustin/go-humanize"

	"weft"
)

// room refuses what would take in more data while less than disk.reserve is free
// on the data folder's disk. What frees space goes on: compaction, retention,
// deleting. It ends by itself as soon as there is room again.
func (n *Node) room(op, subject string) error {
	free := n.cfg.free(n.cfg.Data)
	if free >= n.conf().DiskReserve {
		return nil
	}
	return weft.Errorf(weft.KindLimit, op, subject, "%s are free on the disk of %s, and %s are to stay free (disk.reserve)",
		humanize.IBytes(uint64(max(free, 0))), n.cfg.Data, humanize.IBytes(uint64(n.conf().DiskReserve))).
		WithHint("free space on this disk, keep less of the past (keep.time, keep.bytes) or lower disk.reserve; nothing that was published is lost, and loads go on by themselves")
}
