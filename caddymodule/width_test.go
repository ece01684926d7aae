package caddymodule

import "testing"

func TestFitTable(t *testing.T) {
	t.Parallel()
	const table = "TOKEN\tMAY\tCONTACT\n" +
		"acme/nightly-sync\torders:v1,v2:GET,POST,PUT catalog:2026-01:GET\tdata@acme.example\n" +
		"acme/b\t-\tü@acme.example\n" +
		"\nA line that is no part of the table, and is as long as it is.\n"
	for _, test := range []struct {
		name  string
		width int
		want  string
	}{
		{"wide enough", 200, table},
		{
			"the widest first", 64, "TOKEN\tMAY\tCONTACT\n" +
				"acme/nightly-sync\torders:v1,v2:GET,POST,PUT…\tdata@acme.example\n" +
				"acme/b\t-\tü@acme.example\n" +
				"\nA line that is no part of the table, and is as long as it is.\n",
		},
		{
			"the first column last", 30, "TOKEN\tMAY\tCONTA…\n" +
				"acme/nightly-…\torder…\tdata@…\n" +
				"acme/b\t-\tü@acm…\n" +
				"\nA line that is no part of the table, and is as long as it is.\n",
		},
		{
			"never less than can be read", 1, "TOKEN\tMAY\tCONTA…\n" +
				"acme/…\torder…\tdata@…\n" +
				"acme/b\t-\tü@acm…\n" +
				"\nA line that is no part of the table, and is as long as it is.\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := fitTable(table, test.width); got != test.want {
				t.Errorf("width %d: got\n%s\nwant\n%s", test.width, got, test.want)
			}
		})
	}
}
