package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/starling-fhir/starling/auth"
	"github.com/starling-fhir/starling/fhir"
)

// mostKeyBytes is the largest file of keys that is read.
const mostKeyBytes = 1 << 20

// clientSetting is a key of a client in the file of --hook-clients.
type clientSetting struct {
	name string
	list bool // may have several values
	set  func(c *auth.HookClient, values []string) error
}

// clientSettings are all keys a client may have. Files are found beside the
// file that names them, in dir. docs/how-to/hook-clients.md describes them.
func clientSettings(dir string) []clientSetting {
	return []clientSetting{
		{"name", false, func(c *auth.HookClient, values []string) error {
			c.Name = values[0]
			return nil
		}},
		{"issuer", false, func(c *auth.HookClient, values []string) error {
			c.Issuer = values[0]
			return nil
		}},
		{"tenant", true, func(c *auth.HookClient, values []string) error {
			c.Tenants = values
			return nil
		}},
		{"key-file", false, func(c *auth.HookClient, values []string) (err error) {
			path := values[0]
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			c.Keys, err = readKeys(path)
			return err
		}},
		{"jku", true, func(c *auth.HookClient, values []string) error {
			for _, value := range values {
				if auth.CheckJKU(value) != nil {
					return fmt.Errorf("%q is not a URL such as https://ehr.example.org/jwks.json: with https (http only for this machine), without user and #", mask(value))
				}
			}
			c.JKUs = values
			return nil
		}},
		{"audience", true, func(c *auth.HookClient, values []string) error {
			c.Audiences = values
			return nil
		}},
		{"algorithm", true, func(c *auth.HookClient, values []string) error {
			c.Algorithms = values
			return checkAlgorithms(values)
		}},
		{"shares-patient-ids", false, func(c *auth.HookClient, values []string) error {
			if values[0] != "true" && values[0] != "false" {
				return fmt.Errorf("%q is neither true nor false", fhir.Clip(values[0]))
			}
			c.SharesPatientIDs = values[0] == "true"
			return nil
		}},
	}
}

// readHookClients reads the file of --hook-clients and the files of keys it
// names.
func readHookClients(path string) ([]auth.HookClient, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError("--hook-clients: %w", err)
	}
	clients, err := parseHookClients(data, filepath.Dir(path))
	if err == nil {
		// What cannot be told from one line, who uses them knows. The base URL
		// does not matter for that, and is not known before the server listens.
		_, err = auth.NewHooks(auth.HooksConfig{
			Clients: clients, BaseURL: "http://localhost", Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
	}
	if err != nil {
		return nil, usageError("--hook-clients: %s: %s", path, strings.TrimPrefix(err.Error(), "auth: "))
	}
	return clients, nil
}

// parseHookClients reads a list of clients: YAML, one mapping a client. dir is
// where the files of keys are.
func parseHookClients(data []byte, dir string) ([]auth.HookClient, error) {
	root, err := yamlDocument(data)
	switch {
	case err != nil:
		return nil, err
	case root == nil:
		return nil, errors.New("names no client")
	case root.Kind != yaml.SequenceNode:
		return nil, fmt.Errorf(`line %d: not a list of clients: each starts with "- name: "`, root.Line)
	}
	var clients []auth.HookClient
	for _, node := range root.Content {
		client, err := parseHookClient(node, clientSettings(dir))
		if err != nil {
			return nil, err
		}
		clients = append(clients, client)
	}
	if len(clients) == 0 {
		return nil, errors.New("names no client")
	}
	return clients, nil
}

// parseHookClient reads one client.
func parseHookClient(node *yaml.Node, settings []clientSetting) (client auth.HookClient, err error) {
	if node.Kind != yaml.MappingNode {
		return client, fmt.Errorf("line %d: a client is a list of NAME: VALUE lines", node.Line)
	}
	names := make([]string, len(settings))
	for i, setting := range settings {
		names[i] = setting.name
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := slices.Index(names, key.Value)
		if at < 0 {
			return client, fmt.Errorf("line %d: a client has no %q%s; it has %s", key.Line, fhir.Clip(key.Value), didYouMean(key.Value, names), strings.Join(names, ", "))
		}
		if seen[key.Value] {
			return client, fmt.Errorf("line %d: %s is set twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		values, err := clientValues(value, settings[at].list)
		if err == nil {
			err = settings[at].set(&client, values)
		}
		if err != nil {
			return client, fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
		}
	}
	switch {
	case client.Issuer == "":
		return client, fmt.Errorf("line %d: a client needs an issuer: what its tokens have as iss", node.Line)
	case client.Keys == nil && len(client.JKUs) == 0:
		return client, fmt.Errorf("line %d: a client needs a key-file or a jku: the public keys its tokens are signed with", node.Line)
	}
	if client.Name == "" {
		client.Name = client.Issuer
	}
	return client, nil
}

// clientValues returns a YAML value, or the values of a list.
func clientValues(node *yaml.Node, list bool) ([]string, error) {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode && list {
		nodes = node.Content
	}
	values := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
			if list {
				return nil, errors.New("is neither a value nor a list of values")
			}
			return nil, errors.New("has no value, or more than one")
		}
		values = append(values, n.Value)
	}
	if len(values) == 0 {
		return nil, errors.New("is an empty list")
	}
	return values, nil
}

// readKeys reads a JSON Web Key Set, https://www.rfc-editor.org/rfc/rfc7517#section-5,
// and refuses one that holds what its owner should have kept.
func readKeys(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostKeyBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes: is it a file of keys?", path, mostKeyBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := checkKeys(data); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return data, nil
}

// checkKeys tells a set of public keys from all else. Whether a key is a good
// one is found by who uses it.
func checkKeys(data []byte) error {
	if strings.HasPrefix(strings.TrimSpace(string(data)), "-----BEGIN") {
		return errors.New(`is a PEM file; what is needed is a JSON Web Key Set: {"keys": [...]}`)
	}
	var set struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || len(set.Keys) == 0 {
		return errors.New(`is not a JSON Web Key Set with keys: {"keys": [...]}`)
	}
	for i, key := range set.Keys {
		for _, secret := range []string{"d", "k", "p", "q", "dp", "dq", "qi"} {
			if _, has := key[secret]; has {
				return fmt.Errorf("has a private or secret key (number %d): the client must keep that to itself and make a new one; put only public keys here", i+1)
			}
		}
	}
	return nil
}
