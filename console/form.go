package console

import (
	"net/url"
	"strings"
)

// field is one field of a form: what it is for, what was typed, and what is wrong with that.
type field struct {
	Name     string // in the form
	Key      string // of what is sent to the route, in whose words it tells problems
	Label    string
	Hint     string
	Type     string   // of the input; text if it is ""
	Example  string   // of what to type
	Most     int      // characters, 0 for any number
	Options  []option // to choose one of; nil: to type
	Required bool
	Value    string
	Problem  string
}

// option is one of what can be chosen.
type option struct{ Value, Text string }

// ID returns that of the input.
func (f *field) ID() string { return "f-" + f.Name }

// form is fields, and what is wrong with all of it.
type form struct {
	Fields  []*field
	Problem string
}

// read takes what was typed, and notes what is missing.
func (f *form) read(typed url.Values) {
	for _, one := range f.Fields {
		one.Value = strings.TrimSpace(typed.Get(one.Name))
	}
}

// check notes which required fields are empty, and reports whether none is.
func (f *form) check() bool {
	for _, one := range f.Fields {
		if one.Required && one.Value == "" {
			one.Problem = "This is needed."
		}
	}
	return len(f.Wrong()) == 0
}

// Wrong returns the fields that have a problem.
func (f *form) Wrong() []*field {
	var wrong []*field
	for _, one := range f.Fields {
		if one.Problem != "" {
			wrong = append(wrong, one)
		}
	}
	return wrong
}

// value returns what was typed into a field.
func (f *form) value(name string) string {
	if one := f.field(name); one != nil {
		return one.Value
	}
	return ""
}

// field returns that of a name, and nil if there is none.
func (f *form) field(name string) *field {
	for _, one := range f.Fields {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// tell puts what a route has refused where it belongs: to the field that it is about, or
// over the form.
func (f *form) tell(failure *Failure) {
	var rest []string
	for _, p := range failure.Fields {
		if at := f.keyed(p.Key); at == nil {
			rest = append(rest, p.Text)
		} else if at.Problem == "" {
			at.Problem = p.Text
		} else {
			at.Problem += "; " + p.Text
		}
	}
	if len(failure.Fields) == 0 {
		rest = append(rest, failure.Message)
	}
	f.Problem = strings.Join(rest, "; ")
}

func (f *form) keyed(key string) *field {
	for _, one := range f.Fields {
		if key != "" && one.Key == key {
			return one
		}
	}
	return nil
}
