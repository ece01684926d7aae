package console

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// colours reads those of the light and of the dark page from the style sheet.
func colours(t *testing.T) map[string]map[string]string {
	t.Helper()
	css, err := os.ReadFile("assets/console.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(css), "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("the style sheet has no dark colours")
	}
	dark, _, _ = strings.Cut(dark, "\n}")
	declared := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	themes := map[string]map[string]string{"light": {}, "dark": {}}
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		for _, match := range declared.FindAllStringSubmatch(text, -1) {
			themes[theme][match[1]] = match[2]
		}
	}
	return themes
}

// luminance is that of WCAG 2.2.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		value, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatalf("%q is no colour: %v", colour, err)
		}
		part := float64(value) / 255
		if part <= 0.04045 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		sum += weight * part
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Text has a contrast of 4.5 to what is behind it (WCAG 2.2, 1.4.3), and what one must see
// to use a page 3 (1.4.11).
func TestContrast(t *testing.T) {
	t.Parallel()
	const text, shape = 4.5, 3
	for theme, colour := range colours(t) {
		check := func(least float64, front string, backs ...string) {
			for _, back := range backs {
				if colour[front] == "" || colour[back] == "" {
					t.Errorf("%s: --%s or --%s is not declared", theme, front, back)
					continue
				}
				if got := contrast(t, colour[front], colour[back]); got < least {
					t.Errorf("%s: --%s on --%s has a contrast of %.2f, want at least %v", theme, front, back, got, least)
				}
			}
		}
		check(text, "text", "page", "card", "sunken")
		check(text, "quiet", "page", "card", "sunken")
		check(text, "link", "page", "card", "sunken")
		check(text, "on-accent", "accent")
		for _, state := range []string{"good", "warn", "bad", "info"} {
			check(text, state, state+"-back")
		}
		check(text, "bad", "card", "sunken", "page")
		for _, seen := range []string{"accent", "edge", "series", "denied", "failed", "used"} {
			check(shape, seen, "card", "page")
		}
	}
}
