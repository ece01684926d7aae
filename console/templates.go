package console

import (
	"embed"
	"html/template"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by name. Each file but those that all of them share is one, and
// defines "main"; the layout has it in "inner", with the navigation, or in "outer", for
// anybody.
var templates = func() map[string]*template.Template {
	shared := []string{"templates/layout.html", "templates/pieces.html", "templates/fields.html"}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	all := make(map[string]*template.Template)
	for _, file := range files {
		if slices.Contains(shared, file) {
			continue
		}
		name := strings.TrimSuffix(path.Base(file), ".html")
		all[name] = template.Must(template.New(name).Funcs(functions).ParseFS(templateFiles, append(shared, file)...))
	}
	return all
}()
