package service_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Everything that the kit exports says what it is.
func TestExportedNamesAreDocumented(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil || file.Name.Name == "main" {
			return err
		}
		for _, name := range undocumented(file) {
			t.Errorf("%s: %s has no comment", path, name)
		}
		seen++
		return nil
	})
	if err != nil || seen < 40 {
		t.Errorf("looked at %d files: %v", seen, err)
	}
}

func undocumented(file *ast.File) (names []string) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil && !wellKnown[d.Name.Name] {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, undocumentedSpec(d, spec)...)
			}
		}
	}
	return names
}

// wellKnown methods do what their interface says.
var wellKnown = map[string]bool{"Error": true, "String": true, "Read": true, "Write": true, "Close": true, "Accept": true,
	"Enabled": true, "Handle": true, "WithAttrs": true, "WithGroup": true, "Report": true, "Unwrap": true}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	switch generic := of.(type) {
	case *ast.IndexExpr:
		of = generic.X
	case *ast.IndexListExpr:
		of = generic.X
	}
	name, ok := of.(*ast.Ident)
	return ok && name.IsExported()
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec) (names []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if d.Doc == nil && s.Doc == nil {
			names = append(names, s.Name.Name)
		}
		if fields, ok := s.Type.(*ast.StructType); ok && settings(s.Name.Name) {
			names = append(names, undocumentedFields(s.Name.Name, fields)...)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// settings need units and defaults; the fields of other types are told by
// those types' comments.
func settings(of string) bool {
	return slices.ContainsFunc([]string{"Options", "Policy", "Rotation", "Registration", "AppRole"}, func(s string) bool { return strings.HasSuffix(of, s) })
}

// undocumentedFields: a comment may stand above a group of fields, and speak
// of all until the next one. It says what leaving a field out means.
func undocumentedFields(of string, fields *ast.StructType) (names []string) {
	said := ""
	for _, f := range fields.Fields.List {
		if c := f.Doc.Text() + f.Comment.Text(); c != "" {
			said = c
		}
		for _, name := range f.Names {
			if name.IsExported() && (said == "" || !optional.MatchString(said)) {
				names = append(names, of+"."+name.Name)
			}
		}
	}
	return names
}

// optional is how comments tell a default, or that there is none.
var optional = regexp.MustCompile(`(?i)\b(nil|empty|zero|0|0 s|default|needed|none|without|false)\b`)
