package wrapper

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childArg makes this test's executable the program that is wrapped.
const childArg = "-wrapper-test-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		programs[os.Args[2]](os.Args[3:])
		return
	}
	prepare()
	os.Exit(m.Run())
}

// programs are what people wrap: well-behaved ones and others. The first
// argument of most is the address at which the test waits for their call.
var programs = map[string]func(args []string){
	"exit": func(args []string) {
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	},
	"signal": func(args []string) {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		call(args[0])
		fmt.Println("got", <-signals)
	},
	"stdin": func(args []string) {
		call(args[0])
		io.Copy(io.Discard, os.Stdin)
		fmt.Println("stdin closed")
		os.Exit(3)
	},
	"http": func(args []string) {
		l, _ := net.Listen("tcp", args[1])
		call(args[0])
		http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Println(r.Method, r.URL.Path)
			os.Exit(0) // before any answer
		}))
	},
	"deaf": func(args []string) {
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
		spawn("call", args[0])
		forever()
	},
	"leave": func(args []string) { // ends, its child does not
		l, _ := net.Listen("tcp4", "127.0.0.1:0")
		spawn("call-twice", args[0], l.Addr().String())
		l.Accept()
		os.Exit(5)
	},
	"call":       func(args []string) { call(args[0]); forever() },
	"call-twice": func(args []string) { call(args[0]); call(args[1]); forever() },
	"write": func(args []string) {
		lines, _ := strconv.Atoi(args[0])
		w := bufio.NewWriter(os.Stdout)
		for i := range lines {
			fmt.Fprintf(w, "line %08d %s\n", i, strings.Repeat("x", 80))
		}
		fmt.Fprintln(w, "the end")
		w.Flush()
	},
	"panic": func([]string) { panic("boom") },
	"environment": func(args []string) {
		for _, name := range args {
			fmt.Printf("%s=%s\n", name, os.Getenv(name))
		}
		dir, _ := os.Getwd()
		fmt.Printf("dir=%s\n", dir)
	},
}

// call keeps the connection open: it breaks when the process dies.
func call(addr string) {
	c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp4", addr)
	if err != nil {
		os.Exit(98)
	}
	c.Write([]byte("!"))
	kept = append(kept, c)
}

var kept []net.Conn

func spawn(args ...string) {
	exe, err := os.Executable()
	if err == nil {
		cmd := exec.Command(exe, append([]string{childArg}, args...)...)
		cmd.Stdout = os.Stdout // so that it holds the output as well
		err = cmd.Start()
	}
	if err != nil {
		os.Exit(96)
	}
}

// forever is no empty select: the runtime would call that a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
