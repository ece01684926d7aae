package console

import (
	"embed"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by name. Each file but layout.html is one, and defines "main";
// the layout has it in "inner", with the navigation, or in "outer", for anybody.
var templates = func() map[string]*template.Template {
	const layout = "templates/layout.html"
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	all := make(map[string]*template.Template)
	for _, file := range files {
		if file == layout {
			continue
		}
		name := strings.TrimSuffix(path.Base(file), ".html")
		all[name] = template.Must(template.New(name).Funcs(functions).ParseFS(templateFiles, layout, file))
	}
	return all
}()

// functions are what templates can call.
var functions = template.FuncMap{
	"asset": assetPath,
}
