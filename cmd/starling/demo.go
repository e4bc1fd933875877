package main

import (
	"context"
	"errors"
)

type demoCmd struct {
	ConfigFile string `name:"config" placeholder:"FILE" help:"YAML file with settings ($STARLING_CONFIG)."`
	Settings   `embed:""`
}

// Run is written last.
func (*demoCmd) Run(context.Context, *Main) error { return errors.New("demo") }
