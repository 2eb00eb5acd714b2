module example.com/chatroom/examples/server

go 1.26.0

require (
	example.com/chatroom v0.0.0
	go.uber.org/goleak v1.3.0
	golang.org/x/term v0.47.0
)

require (
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace example.com/chatroom => ../..
