package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/examples"
)

type demoCmd struct {
	Listen   string `default:"127.0.0.1:8080" help:"Loopback address to listen on."`
	Store    string `default:"./data/demo" help:"Folder for the example data."`
	Examples string `placeholder:"FOLDER" help:"Show the patients/ and order-select/ of this folder instead of the built-in ones."`
}

// Help is printed below the flags.
func (*demoCmd) Help() string {
	return `Starts a server without authentication on loopback, loads made-up patients with genomic reports over HTTP, sends the first order of order-select/ to the CDS service as an EHR would, prints the card, and keeps serving until ^C.`
}

// Run shows the first card and serves until ctx ends.
func (d *demoCmd) Run(ctx context.Context, m *Main) error {
	var settings Settings
	if err := kong.ApplyDefaults(&settings); err != nil {
		return err
	}
	settings.Listen, settings.Store = d.Listen, d.Store
	settings.InsecureNoAuth, settings.LogLevel = true, "warn"

	demo := &demo{main: m, files: fs.FS(examples.Files), where: "examples"}
	if d.Examples != "" {
		demo.files, demo.where = os.DirFS(d.Examples), d.Examples
	}
	server := newServer(m, &settings)
	server.onReady = demo.show
	return server.run(ctx)
}

// demo shows what a server does with example files.
type demo struct {
	main  *Main
	files fs.FS
	where string // how a person names the folder of files
}

// demoService is the CDS service the demo calls.
const demoService = "pgx-order-select"

// show loads the patients, sends the first order and prints what came back.
func (d *demo) show(ctx context.Context, url string) error {
	out := d.main.Stdout
	stored, err := d.load(ctx, url+fhirPath)
	if err != nil {
		return err
	}
	orders, err := fs.Glob(d.files, "order-select/*.json")
	if err != nil {
		return err
	}
	if len(orders) == 0 {
		return fmt.Errorf("%s has no order-select/*.json", d.where)
	}
	body, err := fs.ReadFile(d.files, orders[0])
	if err != nil {
		return err
	}
	patient, drug := orderOf(body)
	target := url + "/cds-services/" + demoService
	started := d.main.Now()
	response, err := callService(ctx, target, body)
	if err != nil {
		return err
	}
	took := d.main.Now().Sub(started)

	fmt.Fprintf(out, "Starling %s, %s of made-up patients in %s\n\n", thisBuild().Version, plural(stored, "resource"), url+fhirPath)
	fmt.Fprintf(out, "An EHR says: %s was picked for Patient/%s.\n  POST %s\n\n", drug, patient, target)
	fmt.Fprintf(out, "%s in %.1f ms:\n\n", plural(int64(len(response.Cards)), "card"), float64(took.Microseconds())/1000)
	for _, card := range response.Cards {
		printCard(out, card)
	}
	d.next(out, url, patient, orders)
	return nil
}

// load stores the patients through the API, as starling load does.
func (d *demo) load(ctx context.Context, base string) (stored int64, err error) {
	names, err := fs.Glob(d.files, "patients/*.json")
	if err != nil {
		return 0, err
	}
	if len(names) == 0 {
		return 0, fmt.Errorf("%s has no patients/*.json", d.where)
	}
	said := *d.main
	said.Stdout = d.main.Stderr // what is rejected is no result of the demo
	report := newReport(&said, false, true, nil, 0)
	loader := &loader{send: newSender(base, 1, 3, time.Minute).bundle, report: report, chunk: 500}
	for _, name := range names {
		data, err := fs.ReadFile(d.files, name)
		if err != nil {
			return 0, err
		}
		parcel := &parcel{class: classify(data), docs: []document{{file: path.Join(d.where, name), data: data}}}
		if err := loader.handle(ctx, parcel); err != nil {
			return 0, err
		}
	}
	stored, rejections := report.totals()
	if rejections > 0 {
		return 0, errors.New("the server rejected example patients")
	}
	return stored, nil
}

// callService posts a hook request and reads the cards.
func callService(ctx context.Context, url string, body []byte) (*cds.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", url, res.Status, strings.TrimSpace(string(answer)))
	}
	var response cds.Response
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return &response, nil
}

// orderOf returns the patient's id and the text of the first draft order of a
// hook request; words instead where it does not say.
func orderOf(body []byte) (patient, drug string) {
	var request struct {
		Context struct {
			PatientID   string `json:"patientId"`
			DraftOrders struct {
				Entry []struct {
					Resource struct {
						Medication struct {
							Text string `json:"text"`
						} `json:"medicationCodeableConcept"`
					} `json:"resource"`
				} `json:"entry"`
			} `json:"draftOrders"`
		} `json:"context"`
	}
	patient, drug = "unknown", "a drug"
	if json.Unmarshal(body, &request) != nil {
		return patient, drug
	}
	if request.Context.PatientID != "" {
		patient = request.Context.PatientID
	}
	if entries := request.Context.DraftOrders.Entry; len(entries) > 0 && entries[0].Resource.Medication.Text != "" {
		drug = entries[0].Resource.Medication.Text
	}
	return patient, drug
}

// next prints what to try.
func (d *demo) next(out io.Writer, url, patient string, orders []string) {
	fmt.Fprintf(out, "Try next, in another terminal:\n\n")
	fmt.Fprintf(out, "  curl '%s%s/Patient?_elements=name,birthDate&_pretty=true'\n", url, fhirPath)
	fmt.Fprintf(out, "  curl '%s%s/Observation?patient=%s&category=laboratory&_pretty=true'\n", url, fhirPath, patient)
	fmt.Fprintf(out, "  curl %s/cds-services\n", url)
	for _, order := range orders[:min(3, len(orders))] {
		fmt.Fprintf(out, "  curl -H 'Content-Type: application/json' -d @%s %s/cds-services/%s\n", path.Join(d.where, order), url, demoService)
	}
	fmt.Fprintf(out, "  %s load YOUR-SYNTHEA-FOLDER --to %s%s\n\n", os.Args[0], url, fhirPath)
	fmt.Fprintf(out, "There is no authentication: every program on this machine can read and change this store,\n"+
		"and a CDS client is taken to use this server's patient ids. Not for real patients.\n\n"+
		"Serving on %s until ^C.\n", url)
}
