package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/auth"
	"github.com/starling-fhir/starling/auth/authtest"
)

// TestReadHookClients reads all that a client can have, with files found beside
// the file that names them.
func TestReadHookClients(t *testing.T) {
	publicKeys := string(signingKeys(t, authtest.NewIssuer(t)))
	dir := folder(t, map[string]string{
		"clients.yaml": `# who may call
- name: North EHR
  issuer: https://north.example.org
  key-file: keys/north.json
  audience: https://cds.example.org/cds-services
  algorithm: [RS384, ES384]
  shares-patient-ids: true
- issuer: south
  tenant: [ward, clinic]
  jku:
    - https://south.example.org/jwks.json
    - http://localhost:8081/jwks.json
`,
		"keys/north.json": publicKeys,
	})
	got, err := readHookClients(filepath.Join(dir, "clients.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.HookClient{
		{
			Name: "North EHR", Issuer: "https://north.example.org", Keys: []byte(publicKeys),
			Audiences: []string{"https://cds.example.org/cds-services"}, Algorithms: []string{"RS384", "ES384"}, SharesPatientIDs: true,
		},
		{Name: "south", Issuer: "south", Tenants: []string{"ward", "clinic"}, JKUs: []string{"https://south.example.org/jwks.json", "http://localhost:8081/jwks.json"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReadHookClientsErrors lists files that stop the start.
func TestReadHookClientsErrors(t *testing.T) {
	publicKeys := string(signingKeys(t, authtest.NewIssuer(t)))
	const good = "- issuer: a\n  key-file: good.json\n"
	tests := []struct{ name, file, want string }{
		{"empty", "# nobody\n", "names no client"},
		{"an empty list", "[]\n", "names no client"},
		{"no list", "name: a\n", "not a list of clients"},
		{"no YAML", "- [\n", "yaml"},
		{"two documents", good + "---\n" + good, "more than one YAML document"},
		{"a client that is a word", "- a\n", "line 1: a client is a list"},
		{"an unknown key", "- issuer: a\n  keyfile: good.json\n", `line 2: a client has no "keyfile" (did you mean key-file?)`},
		{"an unknown key far from all", "- issuer: a\n  colour: red\n", `line 2: a client has no "colour"; it has name, issuer, tenant, key-file`},
		{"a key twice", "- issuer: a\n  issuer: b\n", "line 2: issuer is set twice"},
		{"no issuer", "- key-file: good.json\n", "line 1: a client needs an issuer"},
		{"no keys", "- issuer: a\n", "line 1: a client needs a key-file or a jku"},
		{"an empty issuer", "- issuer: ''\n  key-file: good.json\n", "line 1: issuer: has no value"},
		{"two issuers", "- issuer: [a, b]\n  key-file: good.json\n", "line 1: issuer: has no value, or more than one"},
		{"an issuer twice", good + "- name: b\n  issuer: a\n  key-file: good.json\n", `hook client "b": client "a" has the same issuer: both need tenants`},
		{"a name twice", "- {name: x, issuer: a, key-file: good.json}\n- {name: x, issuer: b, key-file: good.json}\n", `hook client "x": another client has this name`},
		{"no file of keys", "- issuer: a\n  key-file: nowhere.json\n", "line 2: key-file: stat "},
		{"keys that are no JSON", "- issuer: a\n  key-file: text\n", "is not a JSON Web Key Set"},
		{"no keys in the set", "- issuer: a\n  key-file: none.json\n", "is not a JSON Web Key Set"},
		{"a PEM file", "- issuer: a\n  key-file: pem\n", "is a PEM file"},
		{"a private key", "- issuer: a\n  key-file: private.json\n", "has a private or secret key (number 2)"},
		{"a shared secret", "- issuer: a\n  key-file: secret.json\n", "has a private or secret key (number 1)"},
		{"a huge file", "- issuer: a\n  key-file: huge\n", "is larger than"},
		{"keys without TLS", "- issuer: a\n  jku: http://ehr.example.org/jwks.json\n", "line 2: jku: "},
		{"an address with a password", "- issuer: a\n  jku: https://a:hunter2@ehr.example.org/jwks.json\n", `line 2: jku: "https://a:xxxxx@ehr.example.org/jwks.json" is not a URL`},
		{"an empty list of URLs", "- issuer: a\n  jku: []\n", "line 2: jku: is an empty list"},
		{"a list of lists", "- issuer: a\n  jku: [[x]]\n", "line 2: jku: is neither a value nor a list"},
		{"an unsigned algorithm", "- issuer: a\n  key-file: good.json\n  algorithm: [RS384, none]\n", "line 3: algorithm: none is not taken"},
		{"perhaps", "- issuer: a\n  key-file: good.json\n  shares-patient-ids: perhaps\n", `line 3: shares-patient-ids: "perhaps" is neither`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, map[string]string{
				"clients.yaml": test.file, "good.json": publicKeys, "none.json": `{"keys":[]}`, "text": "keys", "pem": "\n-----BEGIN PUBLIC KEY-----\n",
				"private.json": `{"keys":[{"kty":"EC"},{"kty":"EC","d":"x"}]}`, "secret.json": `{"keys":[{"kty":"oct","k":"x"}]}`,
				"huge": strings.Repeat(" ", mostKeyBytes+1),
			})
			path := filepath.Join(dir, "clients.yaml")
			_, err := readHookClients(path)
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error(); !strings.HasPrefix(got, "--hook-clients: "+path+": ") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if _, err := readHookClients(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "--hook-clients: open ") {
		t.Errorf("%v", err)
	}
}

// FuzzParseHookClients: no file of clients stops the program, and what is read
// has an issuer and keys.
func FuzzParseHookClients(f *testing.F) {
	for _, seed := range []string{"", "- issuer: a\n  jku: https://a.example/k\n", "- {issuer: a, key-file: /}\n", "- &a {issuer: a, <<: *a}\n", "- [", "---\n---"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "key-file") {
			return // reads whatever file it names
		}
		clients, err := parseHookClients(data, t.TempDir())
		if err != nil {
			return
		}
		for _, client := range clients {
			if client.Issuer == "" || client.Name == "" || len(client.JKUs) == 0 {
				t.Errorf("%+v", client)
			}
		}
	})
}
