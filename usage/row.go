package usage

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// row is what a file has of one key on one day.
type row struct {
	// seq orders the states of a row: the one with the higher number knows more.
	seq         uint64
	first, last int64 // Unix seconds
	parts       []part
}

// part is an hour of a row, or all of it.
type part struct {
	hour   uint8 // or wholeDay
	counts Counts
}

// wholeDay is the hour of a part that has the whole day.
const wholeDay = 24

// rowFormat is the only format of rows. It stands behind the number.
const rowFormat = 1

// errRow: a row is not as this version writes it.
var errRow = errors.New("usage: the row cannot be read")

// add adds counts to an hour.
func (r *row) add(hour uint8, counts *Counts, first, last int64) {
	if last != 0 {
		if r.first == 0 || first < r.first {
			r.first = first
		}
		r.last = max(r.last, last)
	}
	for i := range r.parts {
		if h := r.parts[i].hour; h == hour || h == wholeDay {
			r.parts[i].counts.Add(counts)
			return
		}
	}
	r.parts = append(r.parts, part{hour, *counts})
}

// fold makes one part of all hours.
func (r *row) fold() {
	whole := part{hour: wholeDay}
	for i := range r.parts {
		whole.counts.Add(&r.parts[i].counts)
	}
	r.parts = []part{whole}
}

// seqBytes is the length of the number that a row begins with, so that the states of a
// row can be compared without reading them.
const seqBytes = 8

func seqOf(value []byte) uint64 {
	if len(value) < seqBytes {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

func (r *row) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 64), r.seq)
	b = append(b, rowFormat)
	b = binary.AppendUvarint(b, uint64(r.first)) //nolint:gosec // since 1970
	b = binary.AppendUvarint(b, uint64(r.last))  //nolint:gosec // since 1970
	for i := range r.parts {
		b = append(b, r.parts[i].hour)
		b = r.parts[i].counts.append(b)
	}
	return b
}

func (c *Counts) append(b []byte) []byte {
	b = binary.AppendUvarint(b, c.Requests)
	b = appendSparse(b, c.Status[:])
	return appendSparse(b, c.Latency[:])
}

// appendSparse appends which of the numbers are not 0, and these.
func appendSparse(b []byte, numbers []uint64) []byte {
	var present uint64
	for i, n := range numbers {
		if n != 0 {
			present |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, present)
	for _, n := range numbers {
		if n != 0 {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

func decodeRow(value []byte) (r row, err error) { return decodeRowInto(nil, value) }

// decodeRowInto is decodeRow with room for the parts, which is used again.
func decodeRowInto(room []part, value []byte) (r row, err error) {
	r.parts = room[:0]
	if len(value) <= seqBytes || value[seqBytes] != rowFormat {
		return row{}, errRow
	}
	d := decoder{rest: value[seqBytes+1:]}
	r.seq, r.first, r.last = seqOf(value), int64(d.number()), int64(d.number()) //nolint:gosec // as encode has written it
	for len(d.rest) > 0 {
		p := part{hour: d.rest[0]}
		d.rest = d.rest[1:]
		p.counts.Requests = d.number()
		d.sparse(p.counts.Status[:])
		d.sparse(p.counts.Latency[:])
		if d.bad || p.hour > wholeDay {
			return row{}, errRow
		}
		r.parts = append(r.parts, p)
	}
	if d.bad {
		return row{}, errRow
	}
	return r, nil
}

// decoder reads numbers. After one that is not there, it is bad and gives zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, length := binary.Uvarint(d.rest)
	if length <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[length:]
	return n
}

func (d *decoder) sparse(numbers []uint64) {
	present := d.number()
	if bits.Len64(present) > len(numbers) {
		d.bad, d.rest = true, nil
		return
	}
	for i := range numbers {
		if present&(1<<i) != 0 {
			numbers[i] = d.number()
		}
	}
}
