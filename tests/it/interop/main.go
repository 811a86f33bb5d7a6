// Judges a log of Kanhe's with Go's own golang.org/x/mod/sumdb, or makes one for Kanhe to judge.
//
//	main check FOLDER BUNDLE RECEIPT   the whole log in FOLDER, a bundle, and the value of a Share-Receipt
//	main make FOLDER COUNT             a log of COUNT entries, its key, and bundle.json of the entry in the middle
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type part struct {
	Index int64    `json:"index"`
	Entry []byte   `json:"entry"`
	Proof [][]byte `json:"proof"`
}

type bundle struct {
	V      int    `json:"v"`
	Origin string `json:"origin"`
	part
	Settled    *part  `json:"settled,omitempty"`
	Checkpoint string `json:"checkpoint"`
	Key        string `json:"key"`
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func hash(b []byte) (h tlog.Hash) {
	if len(b) != len(h) {
		log.Fatalf("%d bytes are no hash", len(b))
	}
	copy(h[:], b)
	return h
}

// path is where C2SP tlog-tiles puts a tile, level -1 being the entries.
func path(folder string, t tlog.Tile) string {
	p := strings.TrimPrefix(t.Path(), "tile/8/")
	if t.L == -1 {
		p = "entries/" + strings.TrimPrefix(p, "data/")
	}
	return filepath.Join(folder, "tile", p)
}

type tiles string

func (f tiles) Height() int                     { return 8 }
func (f tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (f tiles) ReadTiles(ts []tlog.Tile) (data [][]byte, err error) {
	for _, t := range ts {
		data = append(data, must(os.ReadFile(path(string(f), t))))
	}
	return data, nil
}

func tree(checkpoint []byte, v note.Verifier) tlog.Tree {
	n := must(note.Open(checkpoint, note.VerifierList(v)))
	lines := strings.Split(n.Text, "\n")
	if lines[0] != v.Name() || len(lines) != 4 {
		log.Fatalf("not this log's checkpoint: %q", n.Text)
	}
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: must(tlog.ParseHash(lines[2]))}
}

func (p part) check(t tlog.Tree) {
	var proof tlog.RecordProof
	for _, h := range p.Proof {
		proof = append(proof, hash(h))
	}
	if err := tlog.CheckRecord(proof, t.N, t.Hash, p.Index, tlog.RecordHash(p.Entry)); err != nil {
		log.Fatalf("entry %d: %v", p.Index, err)
	}
}

func check(folder, bundlePath, receiptPath string) {
	vkey := strings.TrimSpace(string(must(os.ReadFile(filepath.Join(folder, "log.vkey")))))
	v := must(note.NewVerifier(vkey))
	t := tree(must(os.ReadFile(filepath.Join(folder, "checkpoint"))), v)
	r := tlog.TileHashReader(t, tiles(folder))
	for first := int64(0); first < t.N; first += 256 {
		w := 256
		if t.N-first < 256 {
			w = int(t.N - first)
		}
		data := must(os.ReadFile(path(folder, tlog.Tile{H: 8, L: -1, N: first / 256, W: w})))
		for i := first; i < first+int64(w); i++ {
			size := 2 + int(binary.BigEndian.Uint16(data))
			h := tlog.RecordHash(data[2:size])
			data = data[size:]
			proof := must(tlog.ProveRecord(t.N, i, r))
			if err := tlog.CheckRecord(proof, t.N, t.Hash, i, h); err != nil {
				log.Fatalf("entry %d: %v", i, err)
			}
		}
		if len(data) != 0 {
			log.Fatalf("bytes left over in the bundle of %d", first)
		}
	}
	for n := int64(1); n <= t.N; n += 37 {
		old := must(tlog.TreeHash(n, r))
		if err := tlog.CheckTree(must(tlog.ProveTree(t.N, n, r)), t.N, t.Hash, n, old); err != nil {
			log.Fatalf("size %d: %v", n, err)
		}
	}
	var b bundle
	if err := json.Unmarshal(must(os.ReadFile(bundlePath)), &b); err != nil {
		log.Fatal(err)
	}
	if b.V != 1 || b.Key != vkey || b.Settled == nil {
		log.Fatalf("a bundle of another kind: %+v", b)
	}
	bt := tree([]byte(b.Checkpoint), v)
	b.part.check(bt)
	b.Settled.check(bt)
	receipt(string(must(os.ReadFile(receiptPath))), v)
	fmt.Printf("%d entries\n", t.N)
}

// receipt checks the signed promise of a Share-Receipt: five lines, signed bare.
func receipt(field string, v note.Verifier) {
	params := map[string]string{}
	for _, p := range strings.Split(strings.TrimSpace(field), ";")[1:] {
		name, value, _ := strings.Cut(p, "=")
		params[name] = strings.Trim(value, `":`)
	}
	number := func(name string) int64 { return must(strconv.ParseInt(params[name], 10, 64)) }
	octets := func(name string) []byte { return must(base64.StdEncoding.DecodeString(params[name])) }
	at, last, h := number("index")-number("first"), number("count")-1, hash(octets("leaf"))
	proof := octets("proof")
	for ; last > 0; at, last = at/2, last/2 {
		if at%2 == 1 {
			h, proof = tlog.NodeHash(hash(proof[:32]), h), proof[32:]
		} else if at < last {
			h, proof = tlog.NodeHash(h, hash(proof[:32])), proof[32:]
		}
	}
	text := fmt.Sprintf("kanhe batch v1\n%s\n%d\n%d\n%s\n", v.Name(), number("first"), number("count"), h)
	if len(proof) != 0 || params["key"] != fmt.Sprintf("%08x", v.KeyHash()) || !v.Verify([]byte(text), octets("sig")) {
		log.Fatalf("the receipt's promise does not hold: %s", text)
	}
}

func make_(folder string, count int64) {
	skey, vkey, err := note.GenerateKey(rand.Reader, "go.example/log")
	if err != nil {
		log.Fatal(err)
	}
	signer := must(note.NewSigner(skey))
	var stored []tlog.Hash
	r := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, i := range indexes {
			hashes = append(hashes, stored[i])
		}
		return hashes, nil
	})
	entry := func(i int64) []byte {
		return []byte(fmt.Sprintf(`{"id":"%032x","kind":"gateway.stopped","time":"2026-11-24T00:00:00.%06dZ","v":1}`, i, i))
	}
	var bundles [][]byte
	for i := int64(0); i < count; i++ {
		stored = append(stored, must(tlog.StoredHashes(i, entry(i), r))...)
		if i%256 == 0 {
			bundles = append(bundles, nil)
		}
		b := &bundles[i/256]
		*b = binary.BigEndian.AppendUint16(*b, uint16(len(entry(i))))
		*b = append(*b, entry(i)...)
	}
	write := func(p string, data []byte) {
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
	for _, t := range tlog.NewTiles(8, 0, count) {
		if t.W < 256 && int64(t.W) != count>>(8*t.L)%256 {
			continue
		}
		write(path(folder, t), must(tlog.ReadTileData(t, r)))
		if t.L == 0 {
			t.L = -1
			write(path(folder, t), bundles[t.N])
		}
	}
	root := must(tlog.TreeHash(count, r))
	checkpoint := must(note.Sign(&note.Note{Text: fmt.Sprintf("go.example/log\n%d\n%s\n", count, root)}, signer))
	write(filepath.Join(folder, "checkpoint"), checkpoint)
	write(filepath.Join(folder, "log.vkey"), []byte(vkey+"\n"))
	middle := part{Index: count / 2, Entry: entry(count / 2), Proof: [][]byte{}}
	b := bundle{V: 1, Origin: "go.example/log", part: middle, Checkpoint: string(checkpoint), Key: vkey}
	for _, h := range must(tlog.ProveRecord(count, count/2, r)) {
		b.Proof = append(b.Proof, append([]byte(nil), h[:]...))
	}
	write(filepath.Join(folder, "bundle.json"), must(json.Marshal(b)))
}

func main() {
	log.SetFlags(0)
	switch os.Args[1] {
	case "check":
		check(os.Args[2], os.Args[3], os.Args[4])
	case "make":
		make_(os.Args[2], must(strconv.ParseInt(os.Args[3], 10, 64)))
	}
}
