package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// Every value in the store is sealed: a version byte, the fields, and a CRC-32C
// over the key and all that stands before it. bbolt has no checksums of its own,
// and with the key in the sum a record cannot be taken for another's either.
//
// Fields stand in a fixed order. Numbers are varints; strings and nested blocks
// begin with their length; lists begin with their count.

const checksumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Why a value cannot be read. Callers add which one it is.
var (
	errChecksum = errors.New("its checksum does not hold")
	errVersion  = errors.New("a newer Scopegate wrote it")
	errFields   = errors.New("its fields cannot be read")
)

// seal appends the checksum to an encoded value, which begins with its version.
func seal(key string, value []byte) []byte {
	return binary.LittleEndian.AppendUint32(value, checksum([]byte(key), value))
}

// unseal checks a value and returns a decoder of its fields, which alias it.
func unseal(key, value []byte, newest byte) (decoder, error) {
	fields := len(value) - checksumBytes
	if fields < 1 || checksum(key, value[:fields]) != binary.LittleEndian.Uint32(value[fields:]) {
		return decoder{}, errChecksum
	}
	if value[0] > newest {
		return decoder{}, errVersion
	}
	if value[0] == 0 {
		return decoder{}, errFields
	}
	return decoder{rest: value[1:fields]}, nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// appendTime appends whole seconds. The zero time is 0: nothing that the store
// keeps happens in the first second of 1970.
func appendTime(b []byte, t time.Time) []byte { return binary.AppendVarint(b, unixOf(t)) }

func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func timeOf(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// decoder reads fields one after the other. After a field that cannot be read
// bad is set, and all further ones are zero; so it is asked once, at the end.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 { // most are one byte
		v := d.rest[0]
		d.rest = d.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1) // zigzag, as binary.Varint has it
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	v := d.rest[0]
	d.rest = d.rest[1:]
	return v
}

// fixed returns the next n bytes, which alias the value; nil if there are fewer.
func (d *decoder) fixed(n int) []byte {
	if n > len(d.rest) {
		d.fail()
		return nil
	}
	v := d.rest[:n:n]
	d.rest = d.rest[n:]
	return v
}

// block returns a string's bytes, which alias the value.
func (d *decoder) block() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	return d.fixed(int(n)) //nolint:gosec // bounded by what is left
}

func (d *decoder) string() string { return string(d.block()) }

// count returns a list's length. No element is shorter than a byte, so a length
// that cannot be true costs no memory.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return 0
	}
	return int(n) //nolint:gosec // bounded by what is left
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) time() time.Time { return timeOf(d.varint()) }

func (d *decoder) fail() { d.bad, d.rest = true, nil }

// end returns errFields unless every field was read and nothing is left.
func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return errFields
	}
	return nil
}
