package notify

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkOffer offers what was offered before: what happens each minute.
func BenchmarkOffer(b *testing.B) {
	const tokens = 100_000
	events := make([]Event, tokens)
	for i := range events {
		events[i] = eventOf(Unused, fmt.Sprint(i))
		events[i].Contact.Email = fmt.Sprintf("team%d@acme.example", i%1000)
	}
	o := Options{
		Channels: []Channel{silent{}}, Operators: []string{"ops@example.com"}, Contacts: true, Timing: Timing{Interval: time.Hour},
	}
	n, err := Open(filepath.Join(b.TempDir(), "messages.db"), Local{}, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = n.Close() })
	if err := n.Offer(events); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Offer(events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tokens, "ns/event")
}

// silent is a channel of people to whom nothing is sent.
type silent struct{ Channel }

func (silent) Name() string   { return "silent" }
func (silent) Personal() bool { return true }
