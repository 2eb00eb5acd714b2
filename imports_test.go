package chatroom_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "example.com/chatroom"

// Imports run one way: examples may import adapters; both, client, chatroomtest and filters may import the root package,
// it may import internal ones, and those the standard library. The root package, filters and the internal ones
// may import golang.org/x/text and golang.org/x/time/rate too, as may adapters. What needs more than that has a go.mod
// of its own, and nothing else has. internal/bench is a program, and imports what an example does, and internal packages.
func TestImportsRunOneWay(t *testing.T) {
	imports, modules := importsUnder(t, ".")
	if len(imports[module]) == 0 {
		t.Fatal("the root package imports nothing")
	}
	needed := make(map[string]bool)
	for pkg, paths := range imports {
		own := moduleOf(pkg, modules)
		for _, imported := range paths {
			switch {
			case mayImport(pkg, imported):
			case own == module || ours(imported):
				t.Errorf("%s imports %s", pkg, imported)
			default:
				needed[own] = true
			}
		}
	}
	for _, m := range modules {
		if len(imports[m]) > 0 && m != module && !needed[m] {
			t.Errorf("%s has a go.mod of its own and imports no third party", m)
		}
	}
}

// moduleOf returns the innermost of the modules that pkg is in.
func moduleOf(pkg string, modules []string) string {
	for !slices.Contains(modules, pkg) && pkg != module {
		pkg = path.Dir(pkg)
	}
	return pkg
}

// ours reports whether the path is one of this tree.
func ours(imported string) bool { return strings.HasPrefix(imported+"/", module+"/") }

func TestWhatMayBeImported(t *testing.T) {
	tests := []struct {
		pkg, imported string
		want          bool
	}{
		{module, "net", true},
		{module, "golang.org/x/text/secure/precis", true},
		{module, "golang.org/x/time/rate", true},
		{module, module + "/internal/x", true},
		{module, "golang.org/x/crypto/bcrypt", false},
		{module, "github.com/google/go-cmp/cmp", false},
		{module, module + "/client", false},
		{module + "/internal/x", module, false},
		{module + "/internal/x", "net", true},
		{module + "/internal/x", "golang.org/x/text/unicode/norm", true},
		{module + "/internal/x", "golang.org/x/term", false},
		{module + "/internal/bench", module, true},
		{module + "/internal/bench", module + "/internal/histogram", true},
		{module + "/internal/bench", "golang.org/x/text/unicode/norm", false},
		{module + "/client", module, true},
		{module + "/client", "golang.org/x/text/width", false},
		{module + "/client", module + "/chatroomtest", false},
		{module + "/filters", module, true},
		{module + "/filters", module + "/internal/x", true},
		{module + "/filters", "golang.org/x/text/unicode/norm", true},
		{module + "/filters", module + "/client", false},
		{module + "/filters", "golang.org/x/term", false},
		{module, module + "/filters", false},
		{module + "/examples/bot", module + "/client", true},
		{module + "/examples/bot", module + "/filters", true},
		{module + "/examples/bot", module + "/adapters/irc", true},
		{module + "/examples/bot", "github.com/x/y", false}, // but for a go.mod of its own
		{module + "/adapters/irc", module + "/client", true},
		{module + "/adapters/irc", module + "/examples/bot", false},
		{module + "/adapters/irc", "golang.org/x/text/unicode/norm", true},
		{module + "/adapters/irc", "github.com/x/y", false},
	}
	for _, tt := range tests {
		if got := mayImport(tt.pkg, tt.imported); got != tt.want {
			t.Errorf("mayImport(%s, %s) = %v", tt.pkg, tt.imported, got)
		}
	}
}

// mayImport reports whether a package of this tree may import another at run time without a
// go.mod of its own.
func mayImport(pkg, imported string) bool {
	if !ours(imported) {
		first, _, _ := strings.Cut(imported, "/")
		return !strings.Contains(first, ".") || slices.Contains([]string{"", "internal", "filters", "adapters"}, layer(pkg)) &&
			(strings.HasPrefix(imported, "golang.org/x/text/") || imported == "golang.org/x/time/rate")
	}
	to := layer(imported)
	if pkg == module+"/internal/bench" && to == "internal" {
		return true
	}
	switch from := layer(pkg); from {
	case "", "internal":
		return to == "internal"
	case "client", "chatroomtest", "filters":
		return to == "" || to == "internal"
	case "examples", "adapters":
		return slices.Contains([]string{"", "client", "chatroomtest", "filters", "adapters", from}, to)
	}
	return false
}

// layer returns the first folder of a package's path: "" for the root package, and "examples" for the one program that is not
// there.
func layer(pkg string) string {
	if pkg == module+"/internal/bench" {
		return "examples"
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/"), "/")
	return first
}

// importsUnder returns what the packages under dir import outside their tests, and the modules
// there. Folders that the go command ignores are left out.
func importsUnder(t *testing.T, dir string) (imports map[string][]string, modules []string) {
	t.Helper()
	imports = make(map[string][]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		pkg := path.Join(module, path.Dir(name))
		if base == "go.mod" {
			modules = append(modules, pkg)
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.FromSlash(name)), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[pkg] = append(imports[pkg], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports, modules
}
