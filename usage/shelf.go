package usage

import (
	"encoding/binary"
	"time"
)

// Shelf is where the rows of one day stand that one node has counted.
type Shelf struct {
	Day    Day
	Origin string // the node's run; OriginBytes bytes
}

// Day is a day, counted from 1970-01-01 in UTC.
type Day uint32

const lastDay = ^Day(0)

const (
	secondsOfDay  = 24 * 60 * 60
	secondsOfHour = 60 * 60
)

// DayOf returns the day of a moment.
func DayOf(t time.Time) Day { return Day(max(t.Unix(), 0) / secondsOfDay) } //nolint:gosec // until the year 11 million

// Time returns the beginning of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*secondsOfDay, 0).UTC() }

// String returns the day's date.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

func hourOf(t time.Time) uint8 {
	return uint8(max(t.Unix(), 0) % secondsOfDay / secondsOfHour)
}

// OriginBytes is the length of an origin, which is hexadecimal.
const OriginBytes = 12

const (
	dayBytes   = 4
	shelfBytes = dayBytes + OriginBytes
)

// key returns the name of the shelf. Those of one day stand together, in order.
func (s Shelf) key() []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(s.Day)), s.Origin...)
}

func shelfOf(key []byte) (s Shelf, ok bool) {
	if len(key) != shelfBytes {
		return Shelf{}, false
	}
	return Shelf{Day(binary.BigEndian.Uint32(key)), string(key[dayBytes:])}, true
}
