package scopes

import "testing"

// The names of parameters that some upstream takes for the one with the version.
func TestCompareQueryName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		raw, name   string
		same, alike bool
	}{
		{"api_version", "api_version", true, true},
		{"api%5fversion", "api_version", true, true},
		{"API-Version", "api_version", false, true},
		{"api.version", "api_version", false, true},
		{"api+version", "api_version", false, true},
		{"api[version", "api_version", false, true}, // PHP
		{"api%5Bversion", "api_version", false, true},
		{"api[version", "api-version", false, true},
		{"api_version[0]", "api_version", false, true},
		{"api]version", "api_version", false, false},
		{"apiversion", "api_version", false, false},
	} {
		if same, alike := compareQueryName(test.raw, test.name); same != test.same || alike != test.alike {
			t.Errorf("%q for %q: got same %v, alike %v; want %v, %v", test.raw, test.name, same, alike, test.same, test.alike)
		}
	}
}
