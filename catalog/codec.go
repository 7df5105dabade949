package catalog

import (
	"bytes"

	"github.com/klauspost/compress/zstd"

	"weft"
)

// maxBody bounds what a packed card may unpack to: records are smaller.
const maxBody = 1 << 20

// example holds what cards have in common, for the compression to refer to. A
// change of it is a change of the folder's format.
const example = `{"businessName":"","classification":"confidential","classification":"internal","columns":[{"description":"` +
	`"how":"identity","how":"transform","how":"aggregate","how":"join","how":"filter","how":"group","port":"output","product":"` +
	`"granularity":"one ","key":["id"],"name":"","references":[""],"required":true,"type":"BOOLEAN"},{"required":true,"type":"DATE"},` +
	`{"type":"INTEGER"},{"type":"DECIMAL(18,2)"},{"type":"TIMESTAMPTZ"},{"type":"DOUBLE"},{"type":"BIGINT"},{"type":"VARCHAR"}],` +
	`"unique":true,"unit":"minutes","from":[{"column":"","how":"identity","product":"","table":""}],"uses":[],"document":"","id":"","life":"active",` +
	`"limitations":"","origin":"","owner":"","ports":[{"kind":"input","name":"","product":"","type":"product","version":"1.0.0"},` +
	`{"kind":"output","name":"","type":"tables","version":"1.0.0"}],"product":"","promises":[{"promised":"","property":"latency"}],"purpose":"",` +
	`"readers":["*"],"support":[{"channel":"#","url":"https://"}],"tables":[{"columns":[{"name":"","type":"VARCHAR"}],"description":"","name":"","port":""}],` +
	`"tags":[""],"usage":"","version":"1.0.0"}`

// exampleID is the number of the example in what is packed with it.
const exampleID = 0x77656674

// codec packs cards.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func (z *codec) open() (err error) {
	z.enc, err = zstd.NewWriter(nil, zstd.WithEncoderDictRaw(exampleID, []byte(example)), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstd.MinWindowSize*256))
	if err == nil {
		z.dec, err = zstd.NewReader(nil, zstd.WithDecoderDictRaw(exampleID, []byte(example)), zstd.WithDecoderMaxMemory(maxBody))
	}
	if err != nil {
		return weft.Errorf(weft.KindInternal, "open the catalogue", "", "%w", err)
	}
	return nil
}

func (z *codec) pack(b []byte) []byte {
	return bytes.Clone(z.enc.EncodeAll(b, nil)) // which takes memory for what cannot be packed
}

func (z *codec) unpack(b []byte) ([]byte, error) {
	out, err := z.dec.DecodeAll(b, nil)
	if err != nil {
		return nil, weft.Errorf(weft.KindCorrupt, "unpack the card", "", "%w", err)
	}
	return out, nil
}
