package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/chatroom"
	"example.com/chatroom/chatroomtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// users asks a service that handler is, until the test ends.
func users(t *testing.T, handler http.Handler) Users {
	t.Helper()
	service := httptest.NewServer(handler)
	t.Cleanup(service.Close)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 3 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return Users{URL: service.URL, Client: client}
}

func TestUsersKeepTheContract(t *testing.T) {
	for _, b := range []chatroomtest.AuthBackend{
		{Account: "ann", Secret: "correct horse", Role: chatroom.RoleAdmin, Other: "bob"},
		{Account: "bob", Secret: "battery staple", Other: "ann"},
	} {
		t.Run(b.Account, func(t *testing.T) {
			b.Auth = users(t, demoUsers())
			chatroomtest.TestAuthenticator(t, b)
		})
	}
}

func TestAServiceThatFailsLetsNobodyIn(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"out of order": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"not JSON":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"no such role": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"account":"ann","role":"god"}`) },
		"without end":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(" ", 1<<20)+"{}") },
		"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			id, err := users(t, handler).Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: "Xyzzy"})
			if err == nil {
				t.Fatalf("got in as %+v", id)
			}
			if _, told := errors.AsType[*chatroom.Error](err); told || strings.Contains(err.Error(), "Xyzzy") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestTheProgramHostsARoomForItsUsers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, w)
		w.Close()
	}()
	log := bufio.NewReader(r)
	line, err := log.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, log)
	}()
	_, rest, _ := strings.Cut(line, "open on ")
	addr, _, _ := strings.Cut(rest, ",")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewScanner(conn)
	for _, say := range []struct{ line, want string }{
		{`{"type":"join","nick":"ann"}`, `"code":"password_required"`},
		{`{"type":"join","nick":"ann","password":"x"}`, `"code":"unauthorized"`},
		{`{"type":"join","nick":"ann","password":"correct horse"}`, `"role":"admin"`},
	} {
		if _, err := io.WriteString(conn, say.line+"\n"); err != nil {
			t.Fatal(err)
		}
		if !in.Scan() || !strings.Contains(in.Text(), say.want) {
			t.Fatalf("%s is answered with %s, %v", say.line, in.Text(), in.Err())
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("the program ended with %d", code)
	}
	<-drained
	if code := run(t.Context(), []string{"-addr", "127.0.0.1:0", "more"}, io.Discard); code != 2 {
		t.Errorf("with wrong arguments it ended with %d", code)
	}
}
