package main

import (
	"io"
	"log/slog"
)

// newLogger makes the server's log: JSON, or text where a person reads along.
func newLogger(w io.Writer, settings *Settings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(settings.LogLevel)); err != nil {
		level = slog.LevelInfo // kong's enum lets nothing else pass
	}
	options := &slog.HandlerOptions{Level: level}
	if settings.LogFormat == "text" || settings.LogFormat == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
