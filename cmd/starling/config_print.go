package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

type configCmd struct {
	ConfigFile string `name:"config" placeholder:"FILE" help:"YAML file with settings ($STARLING_CONFIG)."`
	Settings   `embed:""`
}

// BeforeResolve reads the settings file.
func (*configCmd) BeforeResolve(ctx *kong.Context, source *settingSource) error {
	return source.load(ctx)
}

// Run prints every setting as a line of a settings file, with where its value
// came from behind it. Secrets are masked.
func (c *configCmd) Run(m *Main, ctx *kong.Context, source *settingSource) error {
	given := map[string]bool{}
	for _, path := range ctx.Path {
		if path.Flag != nil && !path.Resolved {
			given[path.Flag.Name] = true
		}
	}
	for _, flag := range ctx.Flags() {
		if !isSetting(flag) {
			continue
		}
		from := "default"
		switch {
		case given[flag.Name]:
			from = "flag"
		case source.from[flag.Name] != "":
			from = source.from[flag.Name]
		}
		text, err := settingYAML(flag)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(m.Stdout, "%s: %s # %s\n", flag.Name, text, from); err != nil {
			return err
		}
	}
	if err := c.usable(); err != nil {
		// Not an error of this command: it prints what there is to be mended.
		fmt.Fprintf(m.Stderr, "starling: serve would not start with these settings: %v\n", err)
	}
	return nil
}

// usable returns what serve would say of the settings before it starts.
func (c *configCmd) usable() error {
	if err := c.check(); err != nil || c.HookClients == "" {
		return err
	}
	_, err := readHookClients(c.HookClients)
	return err
}

// settingYAML writes the value of a setting as a YAML flow value.
func settingYAML(flag *kong.Flag) (string, error) {
	var node yaml.Node
	switch value := flag.Target.Interface().(type) {
	case bool:
		return fmt.Sprint(value), nil
	case []string:
		shown := make([]string, len(value))
		for i := range value {
			shown[i] = maskUser(value[i])
		}
		if err := node.Encode(shown); err != nil {
			return "", err
		}
		node.Style = yaml.FlowStyle
	default:
		text := maskUser(fmt.Sprint(value))
		if isSecret(flag) {
			text = mask(text)
		}
		node.SetString(text)
	}
	out, err := yaml.Marshal(&node)
	return strings.TrimSpace(string(out)), err
}

// maskUser masks a URL only if it names a user, which none but that of a secret
// setting may: serve would refuse it, but its password must not be printed.
func maskUser(value string) string {
	if u, err := url.Parse(value); strings.Contains(value, "://") && strings.Contains(value, "@") && (err != nil || u.User != nil) {
		return mask(value)
	}
	return value
}

// mask hides the password of a URL, and what stands behind a "?" or "#", which
// may hold another. It does not rely on the URL being a good one: a password
// with a "/" or "@" that should have been escaped is hidden too. What is no URL
// has none.
func mask(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok {
		return value
	}
	user := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		name, _, secret := strings.Cut(rest[:at], ":")
		switch {
		case strings.ContainsAny(rest[:at], "/?#@"):
			user = "****@"
		case secret:
			user = name + ":xxxxx@"
		default:
			user = name + "@"
		}
		rest = rest[at+1:]
	}
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end] + "?****"
	}
	if _, err := url.PathUnescape(rest); err != nil {
		return "****"
	}
	return scheme + "://" + user + rest
}
