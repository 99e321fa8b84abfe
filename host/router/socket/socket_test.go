package socket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
)

// taker names the environment variable by which a test starts this program as
// the process that takes the socket over.
const taker = "SHIPPER_TEST_TAKER"

func TestMain(m *testing.M) {
	prepare()
	if os.Getenv(taker) != "" {
		if err := take(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// take says where its dock is, takes one socket, and answers one connection.
func take(in io.Reader, out io.Writer) error {
	d, err := OpenDock()
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Fprintf(out, "%s\n", d.Name())
	var size int
	if _, err := fmt.Fscanf(in, "%d\n", &size); err != nil {
		return err
	}
	parcel := make([]byte, size)
	if _, err := io.ReadFull(in, parcel); err != nil {
		return err
	}
	l, err := d.Take(parcel)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(out, "taken")
	c, err := l.Accept()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c, "from the other process"); err != nil {
		return err
	}
	return c.Close()
}

func listening(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l *Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// pair gives both ends of a connection, the accepted one first.
func pair(t *testing.T) (accepted net.Conn, client *net.TCPConn) {
	t.Helper()
	l := listening(t)
	client = dial(t, l)
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return accepted, client
}

// TestGivenSocketKeepsItsQueue: what connected before the socket was given,
// and after the giver closed it, is answered by the taker.
func TestGivenSocketKeepsItsQueue(t *testing.T) {
	l := listening(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), taker+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	var dock, word string
	if _, err := fmt.Fscanln(out, &dock); err != nil {
		t.Fatal(err)
	}
	if err := l.Pause(); err != nil {
		t.Fatal(err)
	}
	early := dial(t, l)
	parcel, err := l.Give(dock)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(in, "%d\n%s", len(parcel), parcel)
	if _, err := fmt.Fscanln(out, &word); err != nil || word != "taken" {
		t.Fatalf("the taker says %q, %v", word, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(early)
	if err != nil || string(got) != "from the other process" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the taker: %v", err)
	}
}

func TestPauseLeavesConnectionsInTheQueue(t *testing.T) {
	l := listening(t)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 5 {
		dial(t, l)
		(<-accepted).Close()
		if err := errors.Join(l.Pause(), l.Pause()); err != nil {
			t.Fatal(err)
		}
		dial(t, l)
		select {
		case <-accepted:
			t.Fatal("accepted while paused")
		default:
		}
		if err := errors.Join(l.Resume(), l.Resume()); err != nil {
			t.Fatal(err)
		}
		(<-accepted).Close()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v", err)
	}
	if err := l.Pause(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("pause after close: %v", err)
	}
}

func TestCloseEndsAPause(t *testing.T) {
	l := listening(t)
	if err := l.Pause(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v", err)
	}
}

func TestTheAddressIsTaken(t *testing.T) {
	l := listening(t)
	if other, err := Listen(t.Context(), l.Addr().String()); err == nil {
		other.Close()
		t.Errorf("%s is listened on twice", l.Addr())
	}
	for _, addr := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"} {
		if l, err := Listen(t.Context(), addr); err == nil {
			l.Close()
			t.Errorf("%q is listened on", addr)
		}
	}
}

func TestEveryAddressHearsBothFamilies(t *testing.T) {
	l, err := Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(ip, port))
		if err != nil && ip == "::1" {
			continue // no IPv6 here
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got.Close()
	}
}

func TestAddresses(t *testing.T) {
	accepted, client := pair(t)
	if accepted.RemoteAddr().String() != client.LocalAddr().String() || accepted.LocalAddr().String() != client.RemoteAddr().String() {
		t.Errorf("accepted %s from %s, client %s to %s", accepted.LocalAddr(), accepted.RemoteAddr(), client.LocalAddr(), client.RemoteAddr())
	}
}

func TestMuchGoesBothWays(t *testing.T) {
	accepted, client := pair(t)
	there, back := make([]byte, 5<<20), make([]byte, 3<<20)
	fill(there, 1)
	fill(back, 2)
	var wg sync.WaitGroup
	wg.Go(func() { send(t, client, there) })
	wg.Go(func() { send(t, accepted, back) })
	wg.Go(func() { want(t, accepted, there) })
	want(t, client, back)
	wg.Wait()
}

func fill(b []byte, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

func send(t *testing.T, c net.Conn, data []byte) {
	if n, err := c.Write(data); n != len(data) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Errorf("close write: %v", err)
	}
}

func want(t *testing.T, c net.Conn, data []byte) {
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes of %d, %v", len(got), len(data), err)
	}
}

func TestDeadlineEndsAReadThatWaits(t *testing.T) {
	accepted, client := pair(t)
	reading := make(chan error, 1)
	read := func() {
		_, err := accepted.Read(make([]byte, 1))
		reading <- err
	}
	go read()
	if err := accepted.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	wantTimeout(t, <-reading)
	go read()
	wantTimeout(t, <-reading)
	if err := accepted.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	go read()
	wantTimeout(t, <-reading)
	if err := accepted.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go read()
	if _, err := client.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	if err := <-reading; err != nil {
		t.Errorf("after the deadline was taken back: %v", err)
	}
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read ended with %v, want a timeout", err)
	}
}

func TestDeadlineEndsAWriteThatWaits(t *testing.T) {
	accepted, _ := pair(t)
	if err := accepted.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := accepted.Write(make([]byte, 4<<20)); err != nil {
			wantTimeout(t, err)
			return
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	accepted, client := pair(t)
	ended := make(chan error, 2)
	go func() {
		_, err := accepted.Read(make([]byte, 1))
		ended <- err
	}()
	go func() {
		for {
			if _, err := accepted.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return
			}
		}
	}()
	if _, err := io.ReadFull(client, make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
	if err := accepted.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	}
	if err := accepted.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second close: %v", err)
	}
	if _, err := accepted.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestResetIsNoEnd(t *testing.T) {
	accepted, client := pair(t)
	if err := errors.Join(client.SetLinger(0), client.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := accepted.Read(make([]byte, 1))
	if err == nil || err == io.EOF && runtime.GOOS != "windows" { // Wine tells no difference
		t.Errorf("a reset connection reads %v", err)
	}
}
