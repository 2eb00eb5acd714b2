package chatroom_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What the protocol consists of is found in the source and looked up in the tables.
func TestPROTOCOLNamesEverything(t *testing.T) {
	text := readFile(t, "PROTOCOL.md")
	for _, names := range []struct{ heading, file, kind string }{
		{"## Errors", "errors.go", "Code"},
		{"## Events", "event.go", "Kind"},
		{"## Commands", "event.go", "Verb"},
	} {
		_, section, _ := strings.Cut(text, "\n"+names.heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		values := constants(t, names.file, names.kind)
		if len(values) < 10 {
			t.Errorf("%s has %d constants of type %s", names.file, len(values), names.kind)
		}
		for _, value := range values {
			if !strings.Contains(section, "\n| `"+value+"` |") {
				t.Errorf("the table under %q lacks %s", names.heading, value)
			}
		}
	}
	for _, field := range append(fieldNames(t, "json.go"), fieldNames(t, "jsonread.go")...) {
		if !strings.Contains(text, "`"+field+"`") {
			t.Errorf("PROTOCOL.md does not mention the field %s", field)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func parse(t testing.TB, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// constants returns the values of a file's string constants of that type.
func constants(t testing.TB, name, kind string) (values []string) {
	t.Helper()
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		typ, named := spec.Type.(*ast.Ident)
		value, literal := spec.Values[0].(*ast.BasicLit)
		if named && literal && typ.Name == kind {
			values = append(values, unquote(t, value))
		}
		return true
	})
	return values
}

// fieldNames returns the names in a file's json tags.
func fieldNames(t *testing.T, name string) (names []string) {
	t.Helper()
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok && field.Tag != nil {
			tag, _, _ := strings.Cut(reflect.StructTag(unquote(t, field.Tag)).Get("json"), ",")
			names = append(names, tag)
		}
		return true
	})
	return names
}

func unquote(t testing.TB, lit *ast.BasicLit) string {
	t.Helper()
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	testName    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
	testPattern = regexp.MustCompile("`(?:go test )?-run '?(Test[^'` ]+)'?`")
	threatRow   = regexp.MustCompile(`(?m)^\| (\d+(?:[–, ]+\d+)?) \|.*$`)
	threatTest  = regexp.MustCompile(`^TestThreat(\d\d)`)
)

// SECURITY.md says which tests show what is promised: those it names are there, and those that are there are named in
// the row they are called after.
func TestSECURITYNamesTests(t *testing.T) {
	declared := declaredTests(t)
	security := readFile(t, "SECURITY.md")
	named := testName.FindAllStringSubmatch(security, -1)
	if len(named) < 90 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, name := range named {
		if !declared[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
	rows := threatRows(t, security)
	for n := range 51 {
		if rows[n+1] == "" {
			t.Errorf("there is no row %d", n+1)
		}
	}
	for name := range declared {
		if of := threatTest.FindStringSubmatch(name); of != nil {
			n, _ := strconv.Atoi(of[1]) // two digits
			if !shows(rows[n], name) {
				t.Errorf("row %d does not name %s", n, name)
			}
		}
	}
}

// threatRows returns the rows of the table by their numbers, of which one may have several.
func threatRows(t *testing.T, security string) map[int]string {
	t.Helper()
	rows := make(map[int]string)
	for _, row := range threatRow.FindAllStringSubmatch(security, -1) {
		numbers := strings.FieldsFunc(row[1], func(r rune) bool { return r < '0' || r > '9' })
		first, _ := strconv.Atoi(numbers[0]) // digits
		last, _ := strconv.Atoi(numbers[len(numbers)-1])
		for n := first; n <= last; n++ {
			if rows[n] != "" {
				t.Errorf("there are two rows %d", n)
			}
			rows[n] = row[0]
		}
	}
	return rows
}

// shows reports whether a row names a test, or a pattern for it.
func shows(row, name string) bool {
	if strings.Contains(row, "`"+name+"`") {
		return true
	}
	for _, pattern := range testPattern.FindAllStringSubmatch(row, -1) {
		if re, err := regexp.Compile(pattern[1]); err == nil && re.MatchString(name) {
			return true
		}
	}
	return false
}

// declaredTests returns the names of all tests, benchmarks and fuzz targets in the tree.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, decl := range parse(t, path).Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				declared[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return declared
}
