package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"example.com/chatroom"
)

// Users lets in the users of an HTTP service, under the names they have there:
//
//	POST /login {"account":"ann","password":"…"}
//	200 {"account":"ann","role":"admin"}, or 401
type Users struct {
	URL    string
	Client *http.Client
}

// Authenticate asks the service.
func (u Users) Authenticate(ctx context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	if req.Current != nil { // a member wants another nick
		if !strings.EqualFold(req.Nick, req.Current.Account) {
			return chatroom.Identity{}, &chatroom.Error{Code: chatroom.CodeDenied, Text: "everybody is called as their account here"}
		}
		id := *req.Current
		id.Nick = req.Nick
		return id, nil
	}
	if req.Secret == "" {
		return chatroom.Identity{}, chatroom.ErrPasswordRequired
	}
	return u.login(ctx, cmp.Or(req.Account, req.Nick), req.Secret)
}

func (u Users) login(ctx context.Context, account, password string) (id chatroom.Identity, err error) {
	body, err := json.Marshal(map[string]string{"account": account, "password": password})
	if err != nil {
		return id, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, u.URL+"/login", bytes.NewReader(body))
	if err != nil {
		return id, err
	}
	post.Header.Set("Content-Type", "application/json")
	resp, err := u.Client.Do(post)
	if err != nil {
		return id, err // the server logs it; who asks is told of an internal error
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return id, chatroom.ErrUnauthorized
	default:
		return id, fmt.Errorf("login service: %s", resp.Status)
	}
	var user struct {
		Account string        `json:"account"`
		Role    chatroom.Role `json:"role"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&user); err != nil {
		return id, fmt.Errorf("login service: %w", err)
	}
	return chatroom.Identity{Nick: user.Account, Account: user.Account, Role: user.Role}, nil
}
