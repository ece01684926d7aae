package caddymodule_test

import "testing"

// attacks are the classes of bypass that no gateway may fall for. Each sends raw
// bytes to a running Caddy and looks at what arrives upstream.
var attacks = []struct {
	name string
	run  func(*testing.T, *stage)
}{
	{"path spellings", attackPathSpellings},
	{"target bytes", attackTargetBytes},
	{"prefixes", attackPrefixes},
	{"methods", attackMethods},
	{"versions", attackVersions},
	{"credentials", attackCredentials},
	{"near misses", attackNearMisses},
	{"identity headers", attackIdentity},
	{"forwarded headers", attackForwardedHeaders},
	{"sources", attackSources},
	{"target forms", attackTargetForms},
	{"framing", attackFraming},
	{"early answers", attackEarlyAnswers},
	{"withheld bodies", attackWithheldBodies},
	{"lingering", attackLingering},
	{"replays", attackReplays},
	{"HTTP2", attackHTTP2},
	{"upgrades", attackUpgrades},
	{"error pages", attackPages},
	{"memory", attackMemory},
	{"fidelity", attackFidelity},
	{"admin endpoint", attackAdmin},
}

// TestAttack runs every class against both ways to write a gateway down.
func TestAttack(t *testing.T) {
	t.Parallel()
	bed := startTestbed(t)
	for form := range attackForms {
		for _, attack := range attacks {
			t.Run(form+"/"+attack.name, func(t *testing.T) {
				t.Parallel()
				attack.run(t, &stage{bed, form})
			})
		}
	}
}
