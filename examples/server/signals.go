package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup calls f for each SIGHUP, one after another, until stop is called. Windows sends none.
func onHangup(f func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range hangups {
			f()
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		wg.Wait()
	}
}

// reloaders are what reads a file again when asked.
type reloaders []interface{ Reload() error }

// reload reads the files again. The server learns by itself what has changed in them.
func (r reloaders) reload(log *slog.Logger) {
	for _, file := range r {
		if err := file.Reload(); err != nil {
			log.Error("what a file said before stays in force", "err", err)
		}
	}
	log.Info("files read again")
}
