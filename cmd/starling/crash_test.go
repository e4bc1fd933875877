package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
)

// TestKilledUnderLoad kills the real server with SIGKILL while clients write
// transactions, and starts it again on the same folder, several times. Every
// transaction that was acknowledged must be there as a whole, and every other
// one as a whole or not at all.
func TestKilledUnderLoad(t *testing.T) {
	const rounds, writers, entries = 3, 6, 5
	folder := newStore(t)
	random := rand.New(rand.NewPCG(1, 2))
	var acknowledged, sent []string // transaction names

	for round := range rounds {
		server := serve(t, "--store", folder)
		checkTransactions(t, server, sent, acknowledged, entries)

		var acks atomic.Int64
		enough := 20 + random.Int64N(60)
		reached := make(chan struct{})
		var mu sync.Mutex
		var wait sync.WaitGroup
		for w := range writers {
			wait.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("r%d-w%d-%d", round, w, i)
					mu.Lock()
					sent = append(sent, name)
					mu.Unlock()
					res, err := http.Post(server.url+"/fhir", "application/fhir+json", strings.NewReader(transaction(name, entries)))
					if err != nil {
						return // the server is gone
					}
					res.Body.Close()
					if mongotest.Chosen() && (res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusGatewayTimeout) {
						continue // the database keeps what the killed server had open for a while
					}
					if res.StatusCode != http.StatusOK {
						t.Errorf("%s: status %d", name, res.StatusCode)
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, name)
					mu.Unlock()
					if acks.Add(1) == enough {
						close(reached)
					}
				}
			})
		}
		gone := make(chan struct{})
		go func() { wait.Wait(); close(gone) }()
		select {
		case <-reached:
		case <-gone:
			t.Fatal("the writers stopped before the kill")
		}
		server.signal(syscall.SIGKILL)
		<-gone
		if code := server.end(); code != -1 {
			t.Fatalf("the server ended with %d, not by the signal", code)
		}
	}

	server := serve(t, "--store", folder)
	checkTransactions(t, server, sent, acknowledged, entries)
	server.stop()
	if len(sent) == len(acknowledged) {
		t.Error("every transaction was acknowledged: the kills came too late to test anything")
	}
}

// transaction creates resources that carry its name.
func transaction(name string, entries int) string {
	list := make([]string, entries)
	for i := range list {
		list[i] = fmt.Sprintf(`{"fullUrl":"urn:uuid:00000000-0000-4000-8000-%012d","resource":{"resourceType":"Basic","identifier":[{"system":"urn:example:transaction","value":%q}],"code":{"text":"entry %d"}},"request":{"method":"POST","url":"Basic"}}`, i, name, i)
	}
	return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(list, ",") + `]}`
}

func checkTransactions(t *testing.T, server *running, sent, acknowledged []string, entries int) {
	t.Helper()
	must := map[string]bool{}
	for _, name := range acknowledged {
		must[name] = true
	}
	for _, name := range sent {
		code, _, body := server.do(http.MethodGet, "/fhir/Basic?identifier=urn:example:transaction%7C"+name+"&_total=accurate", "")
		var found struct {
			Total int               `json:"total"`
			Entry []json.RawMessage `json:"entry"`
		}
		if err := json.Unmarshal([]byte(body), &found); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %v %s", name, code, err, body)
		}
		if found.Total != len(found.Entry) {
			t.Errorf("%s: total %d, %d entries", name, found.Total, len(found.Entry))
		}
		switch {
		case must[name] && found.Total != entries:
			t.Errorf("%s was acknowledged, and %d of its %d resources are there", name, found.Total, entries)
		case found.Total != 0 && found.Total != entries:
			t.Errorf("%s is there by %d of %d resources", name, found.Total, entries)
		}
	}
}
