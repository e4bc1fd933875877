package cds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Call is what became of one service call. It holds no patient data.
type Call struct {
	Service string // "" if the address named none
	// HookInstance is the caller's id of the hook call, by which "why was there
	// no card?" is answered.
	HookInstance string
	Client       string // "" if callers are not authenticated
	Started      time.Time
	Duration     time.Duration
	Status       int // of HTTP
	Cards        []Shown
	Reasons      []Reason
	// Notes are irregularities of the request that were let pass.
	Notes []string
	// Faults are rules of the protocol that the service's cards broke and that
	// were mended. A fault is a bug of the service.
	Faults []string
}

// Shown is a card that was sent.
type Shown struct {
	UUID      string
	Indicator string
}

// Count returns how many cards of an indicator were sent.
func (c *Call) Count(indicator string) int {
	n := 0
	for _, card := range c.Cards {
		if card.Indicator == indicator {
			n++
		}
	}
	return n
}

func (c *Call) fail(err error) {
	c.Status, _ = outcome(kindOf(err))
}

// report writes the one line a call has in the log, and tells OnCall.
func (h *Handler) report(ctx context.Context, call Call, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("service", call.Service),
		slog.String("hook_instance", LoggableInstance(call.HookInstance)),
		slog.Int("status", call.Status),
		slog.Float64("duration_ms", float64(call.Duration.Microseconds())/1000),
	}
	if call.Client != "" {
		attrs = append(attrs, slog.String("client", call.Client))
	}
	if err == nil {
		attrs = append(attrs, slog.Int("critical", call.Count(Critical)), slog.Int("warning", call.Count(Warning)), slog.Int("info", call.Count(Info)))
		if len(call.Cards) > 0 {
			uuids := make([]string, len(call.Cards))
			for i := range call.Cards {
				uuids[i] = call.Cards[i].UUID
			}
			attrs = append(attrs, slog.String("cards", strings.Join(uuids, " ")))
		}
	}
	if len(call.Reasons) > 0 {
		reasons := make([]string, len(call.Reasons))
		for i, r := range call.Reasons {
			reasons[i] = r.Code
			if r.Subject != "" {
				reasons[i] += " (" + r.Subject + ")"
			}
		}
		attrs = append(attrs, slog.String("reasons", strings.Join(reasons, "; ")))
	}
	if len(call.Notes) > 0 {
		attrs = append(attrs, slog.String("notes", strings.Join(call.Notes, "; ")))
	}
	if len(call.Faults) > 0 {
		level = slog.LevelError
		attrs = append(attrs, slog.String("faults", strings.Join(call.Faults, "; ")))
	}
	if err != nil {
		level = slog.LevelWarn
		if call.Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs = append(attrs, slog.String("error", err.Error()))
		var p *panicked
		if errors.As(err, &p) {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
	}
	h.options.Logger.LogAttrs(ctx, level, "cds call", attrs...)
	if h.options.OnCall != nil {
		h.options.OnCall(call)
	}
}

// LoggableInstance returns a hookInstance that may stand in a log: a UUID as it is,
// anything else as a hash, since free text might name a patient.
func LoggableInstance(hookInstance string) string {
	if hookInstance == "" || isUUID(hookInstance) {
		return strings.ToLower(hookInstance)
	}
	sum := sha256.Sum256([]byte(hookInstance))
	return "sha256:" + hex.EncodeToString(sum[:8])
}
