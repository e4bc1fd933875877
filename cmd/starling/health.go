package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/starling-fhir/starling/fhir/store"
)

// state is where a server is in its life.
type state int

const (
	stateStarting state = iota
	stateReady
	stateStopping
)

// health answers the probes. The zero health is starting.
type health struct {
	mu    sync.Mutex
	state state
	note  string
	store store.Store
}

// set changes the state; note says in a few words what is going on.
func (h *health) set(s state, note string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.note = s, note
}

// watch makes readiness depend on a store.
func (h *health) watch(s store.Store) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.store = s
}

// text says what the server is doing.
func (h *health) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.note != "":
		return h.note
	case h.state == stateStarting:
		return "reading definitions"
	}
	return "ready"
}

// live answers /livez: the process runs.
func (h *health) live(w http.ResponseWriter, _ *http.Request) { answerProbe(w, http.StatusOK, "alive") }

// pingTimeout is how long a store may take to answer a probe.
const pingTimeout = 2 * time.Second

// ready answers /readyz: 200 if the server takes requests, else 503 with why
// not.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	state, store := h.state, h.store
	h.mu.Unlock()
	if state != stateReady {
		answerProbe(w, http.StatusServiceUnavailable, h.text())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	if err := store.Ping(ctx); err != nil {
		answerProbe(w, http.StatusServiceUnavailable, "the store does not answer")
		return
	}
	answerProbe(w, http.StatusOK, "ready")
}

func answerProbe(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}
