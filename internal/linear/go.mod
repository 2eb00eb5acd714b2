module example.com/chatroom/internal/linear

go 1.26.0

require (
	example.com/chatroom v0.0.0
	github.com/anishathalye/porcupine v1.3.1
	go.uber.org/goleak v1.3.0
)

require golang.org/x/text v0.43.0 // indirect

replace example.com/chatroom => ../..
