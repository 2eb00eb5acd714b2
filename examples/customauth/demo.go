package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"

	"example.com/chatroom"
)

// demoUsers stands in for a service of one's own.
func demoUsers() http.Handler {
	type user struct {
		password string
		role     chatroom.Role
	}
	users := map[string]user{
		"ann": {"correct horse", chatroom.RoleAdmin},
		"bob": {"battery staple", chatroom.RoleMember},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		var login struct{ Account, Password string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&login); err != nil {
			http.Error(w, "not a login", http.StatusBadRequest)
			return
		}
		u, known := users[login.Account]
		got, want := sha256.Sum256([]byte(login.Password)), sha256.Sum256([]byte(u.password))
		if right := subtle.ConstantTimeCompare(got[:], want[:]) == 1; !right || !known {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// An error means that nobody is there to be told.
		_ = json.NewEncoder(w).Encode(map[string]any{"account": login.Account, "role": u.role})
	})
	return mux
}
