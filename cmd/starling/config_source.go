package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"

	"github.com/starling-fhir/starling/fhir"
)

// envName returns the environment variable of a setting.
func envName(setting string) string {
	return "STARLING_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// isSetting reports whether a flag is a setting, which the environment and the
// settings file can give too.
func isSetting(flag *kong.Flag) bool {
	return flag.Group != nil && slices.ContainsFunc(settingGroups(), func(g kong.Group) bool { return g.Key == flag.Group.Key })
}

// settingSource gives kong the values of settings that no flag gives: first the
// environment, then the file of --config.
type settingSource struct {
	env  func(name string) (string, bool)
	path string
	file map[string]string
	// from says where each setting found here came from.
	from map[string]string
}

func newSettingSource(env func(name string) (string, bool)) *settingSource {
	return &settingSource{env: env, from: map[string]string{}}
}

// Validate has nothing to do: what can be wrong is found as values are read.
func (s *settingSource) Validate(*kong.Application) error { return nil }

// explain adds to an error about a flag where its value came from, if that was
// not the command line.
func (s *settingSource) explain(err error) error {
	// kong's errors about a value start with the flag's name.
	name, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "--"), " ")
	if from := s.from[strings.TrimSuffix(name, ":")]; from != "" {
		return fmt.Errorf("%w (from %s)", err, from)
	}
	return err
}

// Resolve returns the value of a flag that was not given on the command line,
// or nil if it has none.
func (s *settingSource) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isSetting(flag) {
		return nil, nil
	}
	name := envName(flag.Name)
	value, ok := s.env(name)
	fileName, fromFile := s.env(name + "_FILE")
	switch {
	case ok && value != "" && fromFile && isSecret(flag):
		return nil, fmt.Errorf("%s and %s_FILE are both set", name, name)
	case ok && value != "":
		s.from[flag.Name] = name
		return value, nil
	case fromFile && isSecret(flag):
		secret, err := os.ReadFile(fileName)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		s.from[flag.Name] = name + "_FILE"
		return strings.TrimRight(string(secret), "\r\n"), nil
	}
	if value, ok := s.file[flag.Name]; ok {
		s.from[flag.Name] = s.path
		return value, nil
	}
	return nil, nil
}

// isSecret reports whether a setting may hold a password.
func isSecret(flag *kong.Flag) bool { return flag.Tag.Has("secret") }

// load reads the settings file that the command line or the environment names.
// It runs before kong asks for values, so that what is wrong with the file is
// not told as a fault of some flag.
func (s *settingSource) load(ctx *kong.Context) error {
	settings := map[string]bool{}
	for _, flag := range ctx.Flags() {
		if isSetting(flag) {
			settings[flag.Name] = true
		}
		if flag.Name == "config" {
			s.path, _ = ctx.FlagValue(flag).(string)
		}
	}
	if s.path == "" {
		s.path, _ = s.env(envName("config"))
	}
	if s.path == "" {
		return nil
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	s.file, err = parseSettings(data, settings)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// parseSettings reads a settings file: YAML, one mapping from the name of a
// flag to a value or a list of values. A name that is no setting is an error.
func parseSettings(data []byte, settings map[string]bool) (map[string]string, error) {
	root, err := yamlDocument(data)
	if root == nil || err != nil {
		return nil, err
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("not a list of NAME: VALUE lines")
	}
	values := map[string]string{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if !settings[key.Value] {
			return nil, fmt.Errorf("line %d: there is no setting %q%s; starling config lists them",
				key.Line, fhir.Clip(key.Value), didYouMean(key.Value, slices.Sorted(maps.Keys(settings))))
		}
		if _, twice := values[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %s is set twice", key.Line, key.Value)
		}
		text, err := settingText(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
		}
		values[key.Value] = text
	}
	return values, nil
}

// yamlDocument reads the one document of a YAML file; nil if it is empty.
func yamlDocument(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	return doc.Content[0], nil
}

// settingText returns a YAML value as a flag would be written.
func settingText(value *yaml.Node) (string, error) {
	switch value.Kind {
	case yaml.ScalarNode:
		if value.Tag == "!!null" {
			return "", errors.New("has no value")
		}
		return value.Value, nil
	case yaml.SequenceNode:
		items := make([]string, 0, len(value.Content))
		for _, item := range value.Content {
			switch {
			case item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ","):
				return "", errors.New("is not a list of plain values")
			case strings.TrimSpace(item.Value) == "" || item.Tag == "!!null":
				return "", errors.New("has an empty value in its list")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	}
	return "", errors.New("is neither a value nor a list of values")
}

// helpWithEnv is a flag's help text with its environment variable.
func helpWithEnv(value *kong.Value) string {
	if value.Flag == nil || !isSetting(value.Flag) {
		return kong.DefaultHelpValueFormatter(value)
	}
	return kong.DefaultHelpValueFormatter(value) + " ($" + envName(value.Name) + ")"
}
