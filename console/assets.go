package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file that pages load. Its name has a part of its digest in it, so that a
// browser keeps it for ever and never has one of another version.
type asset struct {
	mediaType string
	body      []byte
}

// assets by name, and the names by those of the files.
var assets, assetNames = func() (map[string]asset, map[string]string) {
	files, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	all, names := make(map[string]asset), make(map[string]string)
	for _, file := range files {
		body, err := assetFiles.ReadFile("assets/" + file.Name())
		if err != nil {
			panic(err)
		}
		const shown = 8
		digest := sha256.Sum256(body)
		ext := path.Ext(file.Name())
		name := strings.TrimSuffix(file.Name(), ext) + "-" + hex.EncodeToString(digest[:shown]) + ext
		all[name] = asset{mime.TypeByExtension(ext), body}
		names[file.Name()] = name
	}
	return all, names
}()

// assetPath returns where a file is found.
func assetPath(file string) (string, error) {
	name, ok := assetNames[file]
	if !ok {
		return "", fmt.Errorf("there is no asset %q", file)
	}
	return Root + "assets/" + name, nil
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", a.mediaType)
	_, _ = w.Write(a.body) // a client that has gone needs no answer
}
