package console

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

// warehouse is an API with a method that only some of its operations have.
func warehouse() *api {
	return &api{Name: "stock", Operations: []operation{
		{"list", []string{"GET", "POST"}, "/stock"},
		{"one", []string{"GET", "PUT", "DELETE"}, "/stock/{id}"},
		{"purge", []string{"POST"}, "/stock/purge"},
		{"files", []string{"*"}, "/stock/files/**"},
	}}
}

// What is chosen when an API is added is the least that is of use: GET.
func TestChoiceBeginsWithGET(t *testing.T) {
	t.Parallel()
	c := newChoice(warehouse(), "2", nil)
	for _, row := range c.Rows {
		for _, cell := range row.Cells {
			if cell.Checked != (cell.Method == http.MethodGet && row.Name != "purge") {
				t.Errorf("%s %s: checked is %v", cell.Method, row.Name, cell.Checked)
			}
		}
	}
	if want := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "*"}; !reflect.DeepEqual(c.Methods, want) {
		t.Errorf("the columns are %q, want %q", c.Methods, want)
	}
}

func TestChoiceScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		version string
		grants  []string
		later   bool
		want    string
	}{
		{"nothing", "2", []string{}, true, `null`},
		{"one", "2", []string{"stock/2 GET list"}, false, `[{"api":"stock","methods":["GET"],"operations":["list"],"version":"2"}]`},
		{"no version", "", []string{"stock/ POST purge"}, false, `[{"api":"stock","methods":["POST"],"operations":["purge"]}]`},
		{
			"alike are one scope", "2",
			[]string{"stock/2 GET list", "stock/2 GET one", "stock/2 PUT one", "stock/2 GET files"},
			false,
			`[{"api":"stock","methods":["GET"],"operations":["list","files"],"version":"2"},{"api":"stock","methods":["GET","PUT"],"operations":["one"],"version":"2"}]`,
		},
		{"any has all methods", "2", []string{"stock/2 * files", "stock/2 GET files"}, false, `[{"api":"stock","methods":["*"],"operations":["files"],"version":"2"}]`},
		{
			"later ones too", "2",
			[]string{"stock/2 GET list", "stock/2 GET one", "stock/2 GET files", "stock/2 PUT one"},
			true,
			`[{"api":"stock","methods":["GET"],"version":"2"},{"api":"stock","methods":["PUT"],"operations":["one"],"version":"2"}]`,
		},
		{"later, but not all are chosen", "2", []string{"stock/2 GET list"}, true, `[{"api":"stock","methods":["GET"],"operations":["list"],"version":"2"}]`},
		{"later, of any", "2", []string{"stock/2 * files"}, true, `[{"api":"stock","methods":["*"],"operations":["files"],"version":"2"}]`},
		{"what there is not", "2", []string{"stock/2 PATCH list", "stock/2 GET none", "stock/1 GET list", "other/2 GET list", ""}, false, `null`},
	} {
		c := newChoice(warehouse(), test.version, test.grants)
		c.Later = test.later
		got, err := json.Marshal(c.scopes())
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}
