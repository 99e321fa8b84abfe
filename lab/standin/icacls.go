package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// icacls does not protect anything: it remembers. Every change goes into a
// log, one line of JSON each, and what a path's list is follows from the log.
type icacls struct {
	console
	log string
}

// accessLog is where the calls are remembered on a host.
func accessLog() string {
	if root := os.Getenv("SystemRoot"); root != "" {
		return filepath.Join(root, "icacls.log")
	}
	return "icacls.log"
}

// change is one line of the log. Path is absolute.
type change struct {
	Path    string
	Inherit string   `json:",omitempty"` // r, d or e
	Grant   []access `json:",omitempty"`
	Replace bool     `json:",omitempty"` // of the grants: what the account had goes
	Deny    []access `json:",omitempty"`
	Remove  []string `json:",omitempty"`
	Owner   string   `json:",omitempty"`
	Reset   bool     `json:",omitempty"`
}

// access is what one account may do: (OI)(CI)(F).
type access struct{ Who, Rights string }

// accessCall is a command line.
type accessCall struct {
	path  string
	tree  bool
	quiet bool
	done  []change // what to do, without paths
}

func (i *icacls) run(args []string) int {
	call, code := i.parse(args)
	if code != 0 {
		return code
	}
	paths, err := call.paths()
	if err != nil {
		fmt.Fprintf(i.out, "%s: The system cannot find the file specified.\r\n", call.path)
		fmt.Fprint(i.out, "Successfully processed 0 files; Failed processing 1 files\r\n")
		return 2
	}
	for _, p := range paths {
		if err := i.apply(p, call); err != nil {
			fmt.Fprintf(i.out, "%s: %v\r\n", p, err)
			return 5
		}
	}
	if !call.quiet || len(call.done) == 0 {
		fmt.Fprintf(i.out, "Successfully processed %d files; Failed processing 0 files\r\n", len(paths))
	}
	return 0
}

func (i *icacls) apply(path string, call accessCall) error {
	if len(call.done) == 0 {
		return i.show(path, call.path)
	}
	if err := i.remember(path, call.done); err != nil {
		return err
	}
	if !call.quiet {
		fmt.Fprintf(i.out, "processed file: %s\r\n", path)
	}
	return nil
}

func (i *icacls) parse(args []string) (accessCall, int) {
	if len(args) == 0 {
		fmt.Fprint(i.out, "ICACLS name [/grant[:r] Sid:perm[...]] [/deny Sid:perm] [/remove Sid] [/inheritance:e|d|r] [/setowner user] [/reset] [/T] [/C] [/L] [/Q]\r\n")
		return accessCall{}, 0
	}
	call := accessCall{path: args[0]}
	for args = args[1:]; len(args) > 0; {
		option := strings.ToLower(args[0])
		args = args[1:]
		operands := 0
		for operands < len(args) && !strings.HasPrefix(args[operands], "/") {
			operands++
		}
		if code := call.option(option, args[:operands]); code != 0 {
			return call, i.refuse(code, option, args[:operands])
		}
		args = args[operands:]
	}
	return call, 0
}

// Exit codes of the original: Windows' own error numbers.
const (
	badParameter = 87
	noAccount    = 1332
)

func (i *icacls) refuse(code int, option string, operands []string) int {
	if code == noAccount {
		fmt.Fprintf(i.out, "%s: No mapping between account names and security IDs was done.\r\n", strings.Join(operands, " "))
		fmt.Fprint(i.out, "Successfully processed 0 files; Failed processing 1 files\r\n")
		return code
	}
	fmt.Fprintf(i.out, "Invalid parameter %q\r\n", option)
	return code
}

// option adds one option with its operands.
func (c *accessCall) option(option string, operands []string) int {
	switch option {
	case "/t":
		c.tree = true
	case "/q":
		c.quiet = true
	case "/c", "/l":
	case "/inheritance:r", "/inheritance:d", "/inheritance:e":
		c.done = append(c.done, change{Inherit: option[len(option)-1:]})
	case "/reset":
		c.done = append(c.done, change{Reset: true})
	case "/grant", "/grant:r", "/deny":
		return c.rights(option, operands)
	case "/setowner", "/remove":
		return c.accounts(option, operands)
	default:
		return badParameter
	}
	if len(operands) > 0 {
		return badParameter
	}
	return 0
}

var rightsPattern = regexp.MustCompile(`^(\((OI|CI|IO|NP)\))*(F|M|RX|R|W|D|N|\([A-Z]+(,[A-Z]+)*\))$`)

func (c *accessCall) rights(option string, operands []string) int {
	var list []access
	for _, o := range operands {
		at := strings.LastIndex(o, ":")
		if at < 1 || !rightsPattern.MatchString(strings.ToUpper(o[at+1:])) {
			return badParameter
		}
		who, ok := account(o[:at])
		if !ok {
			return noAccount
		}
		list = append(list, access{who, brackets(strings.ToUpper(o[at+1:]))})
	}
	if len(list) == 0 {
		return badParameter
	}
	if option == "/deny" {
		c.done = append(c.done, change{Deny: list})
	} else {
		c.done = append(c.done, change{Grant: list, Replace: option == "/grant:r"})
	}
	return 0
}

// brackets writes F as (F), as the original prints it.
func brackets(rights string) string {
	if strings.HasSuffix(rights, ")") && !strings.HasSuffix(rights, "I)") {
		return rights
	}
	at := strings.LastIndex(rights, ")") + 1
	return rights[:at] + "(" + rights[at:] + ")"
}

func (c *accessCall) accounts(option string, operands []string) int {
	if len(operands) == 0 {
		return badParameter
	}
	for _, o := range operands {
		who, ok := account(o)
		if !ok {
			return noAccount
		}
		if option == "/remove" {
			c.done = append(c.done, change{Remove: []string{who}})
		} else {
			c.done = append(c.done, change{Owner: who})
		}
	}
	return 0
}

var sid = regexp.MustCompile(`^\*?S-1-\d+(-\d+)+$`)

// account is an account's name as the original prints it.
func account(s string) (string, bool) {
	known := map[string]string{
		"S-1-5-18": `NT AUTHORITY\SYSTEM`, "SYSTEM": `NT AUTHORITY\SYSTEM`, "S-1-5-32-544": `BUILTIN\Administrators`, "ADMINISTRATORS": `BUILTIN\Administrators`,
		"S-1-5-32-545": `BUILTIN\Users`, "USERS": `BUILTIN\Users`, "S-1-5-11": `NT AUTHORITY\Authenticated Users`, "S-1-1-0": "Everyone", "EVERYONE": "Everyone",
		"S-1-5-19": `NT AUTHORITY\LOCAL SERVICE`, "S-1-5-20": `NT AUTHORITY\NETWORK SERVICE`, "ADMINISTRATOR": "Administrator",
	}
	upper := strings.ToUpper(strings.TrimPrefix(s, "*"))
	if name, ok := known[upper]; ok {
		return name, true
	}
	if sid.MatchString(strings.ToUpper(s)) {
		return upper, true
	}
	domain, name, ok := strings.Cut(s, `\`)
	return s, ok && domain != "" && name != ""
}

// paths are the files that the call is about; they must exist.
func (c *accessCall) paths() ([]string, error) {
	root, err := filepath.Abs(strings.TrimRight(c.path, `\/`))
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(root); err != nil {
		return nil, err
	}
	if !c.tree {
		return []string{root}, nil
	}
	var all []string
	err = filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	})
	return all, err
}

func (i *icacls) remember(path string, done []change) error {
	var lines []byte
	for _, c := range done {
		c.Path = path
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		lines = append(append(lines, b...), '\n')
	}
	f, err := os.OpenFile(i.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	return errors.Join(err, f.Close())
}

// show prints a path's list.
func (i *icacls) show(path, asked string) error {
	lists, err := i.replay()
	if err != nil {
		return err
	}
	lead := asked
	for _, e := range lists.effective(path) {
		fmt.Fprintf(i.out, "%s %s:%s\r\n", lead, e.Who, e.Rights)
		lead = strings.Repeat(" ", len(asked))
	}
	fmt.Fprint(i.out, "\r\n")
	return nil
}

func (i *icacls) replay() (accessLists, error) {
	lists := accessLists{}
	f, err := os.Open(i.log)
	if errors.Is(err, fs.ErrNotExist) {
		return lists, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		var c change
		if err := json.Unmarshal(scanner.Bytes(), &c); err != nil {
			return nil, err
		}
		lists.apply(c)
	}
	return lists, scanner.Err()
}
