package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/starling-fhir/starling/fhir/store/mongo"
)

// mongoMetrics are the figures of a database as this server sees it.
type mongoMetrics struct {
	commands    *prometheus.HistogramVec
	connections prometheus.Gauge
}

func newMongoMetrics(registry *prometheus.Registry) *mongoMetrics {
	m := &mongoMetrics{
		commands: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "starling_mongodb_command_duration_seconds", Buckets: seconds(),
			Help: "Duration of commands to MongoDB. code is the server's error code, 0 for none, -1 for no answer.",
		}, []string{"command", "collection", "code"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "starling_mongodb_connections", Help: "Open connections to MongoDB.",
		}),
	}
	registry.MustRegister(m.commands, m.connections)
	return m
}

func (m *mongoMetrics) command(c mongo.Command) {
	m.commands.WithLabelValues(c.Name, c.Collection, strconv.Itoa(c.Code)).Observe(c.Took.Seconds())
}

func (m *mongoMetrics) connected(delta int) { m.connections.Add(float64(delta)) }
