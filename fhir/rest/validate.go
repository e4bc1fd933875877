package rest

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// validate serves [type]/$validate and [type]/[id]/$validate,
// https://hl7.org/fhir/R4/resource-operation-validate.html: whether a resource
// is sound, or whether a create, update or delete would be carried out. The answer
// is 200 with an OperationOutcome, whatever it says. GET looks at what is stored.
func (s *Server) validate(r *request) (*answer, error) {
	in, err := queryInputs(r.query)
	if err != nil {
		return nil, err
	}
	root, err := s.validated(r, in)
	if err != nil {
		return nil, err
	}
	mode, err := in.text("mode", "code")
	if err != nil {
		return nil, err
	}
	profile, err := in.text("profile", "uri")
	if err != nil {
		return nil, err
	}
	if err := in.done(); err != nil {
		return nil, err
	}
	switch mode {
	case "", "create", "update", "delete", "profile":
	default:
		return nil, fhir.Errorf(fhir.Invalid, "mode is create, update, delete or profile, not %q", fhir.Clip(mode))
	}
	switch {
	case (mode == "update" || mode == "delete") && r.id == "":
		return nil, fhir.Errorf(fhir.Invalid, "the mode %s is for one resource: %s%s/[id]/$validate", mode, s.basePrefix, r.typ)
	case mode == "profile" && profile == "":
		return nil, fhir.Errorf(fhir.Invalid, "the mode profile needs the parameter profile")
	case root == nil && mode != "delete":
		return nil, fhir.Errorf(fhir.Invalid, "there is no resource to validate: send one, or Parameters with one called resource")
	}
	if profile != "" && !baseProfile(profile, r.typ) {
		// "If a profile is nominated, and the server cannot validate against the
		// nominated profile, it SHALL return an error".
		return nil, fhir.Errorf(fhir.NotSupported, "profiles are not checked here, so nothing can be said about %s; without the parameter profile the base rules of R4 are checked", fhir.Clip(profile))
	}
	var problem error
	switch mode {
	case "create", "update", "delete":
		problem, err = s.acceptable(r, mode, root)
	default:
		problem, err = s.sound(r, root)
	}
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: s.verdict(problem, root, mode)}, nil
}

// validated returns the resource to look at: that of the body, which may be
// Parameters around it, or, with GET, what is stored. Parameters beside it are
// added to in.
func (s *Server) validated(r *request, in *inputs) (*resource.Node, error) {
	if r.method == http.MethodGet {
		res, err := s.current(r)
		if err != nil {
			return nil, err
		}
		return resource.Decode(res.JSON)
	}
	root, err := r.parametersBody()
	if err != nil || root == nil || root.Str("resourceType") != "Parameters" {
		return root, err
	}
	list := root.List("parameter")
	wrapped := slices.IndexFunc(list, func(n resource.Node) bool { return n.Str("name") == "resource" })
	if r.typ == "Parameters" && wrapped < 0 {
		return root, nil // which is itself what to look at
	}
	if err := s.Gate.CheckShell(root); err != nil {
		return nil, err
	}
	var found *resource.Node
	for i := range list {
		name := list[i].Str("name")
		if name != "resource" {
			in.list = append(in.list, input{name: name, node: &list[i]})
			continue
		}
		if found != nil {
			return nil, fhir.Errorf(fhir.Invalid, "the parameter resource can be given only once")
		}
		if found = list[i].Get("resource"); found == nil {
			return nil, fhir.Errorf(fhir.Invalid, "the parameter resource must have a resource")
		}
	}
	return found, nil
}

// baseProfile reports whether a canonical URL is that of R4's own definition of a
// type, which is what the gate checks.
func baseProfile(profile, typ string) bool {
	url, version, _ := strings.Cut(profile, "|")
	return url == "http://hl7.org/fhir/StructureDefinition/"+typ && (version == "" || version == "4.0.1" || version == "4.0")
}

// sound checks a resource by itself. problem is what is wrong with it.
func (s *Server) sound(r *request, root *resource.Node) (problem, err error) {
	w := &write{typ: r.typ}
	body := *r
	body.body = func() (*resource.Node, error) { return root, nil }
	if problem = w.readResource(&body); problem != nil {
		return clients(problem)
	}
	if problem = s.Gate.Check(root); problem != nil {
		return clients(problem)
	}
	_, _, problem = s.registry().Extract(root)
	return clients(problem)
}

// acceptable does all of a create, update or deletion but the change itself.
func (s *Server) acceptable(r *request, mode string, root *resource.Node) (problem, err error) {
	body := *r
	body.body = func() (*resource.Node, error) { return root, nil }
	body.query = ""
	if problem := r.access.Allow(mode, r.typ); problem != nil {
		return clients(problem)
	}
	prepare := map[string]func(*request) (*write, error){"create": s.create, "update": s.update, "delete": s.delete}[mode]
	if mode == "create" {
		body.id = ""
	}
	w, err := prepare(&body)
	if err != nil {
		// Its readers look at the gate's rules later: tell those too.
		if root != nil && mode != "delete" {
			err = merge([]error{err, s.Gate.Check(root)})
		}
		return clients(err)
	}
	w.rehearsed = true
	return clients(s.commit(r.ctx, r.access, &unit{writes: []*write{w}, rehearsal: true}))
}

// clients tells what a client has done wrong from what keeps the server from
// saying anything.
func clients(err error) (problem, fault error) {
	var ours *fhir.Error
	if !errors.As(err, &ours) {
		return nil, err
	}
	switch ours.Kind {
	case fhir.Internal, fhir.Unavailable, fhir.Timeout, fhir.Throttled:
		return nil, err
	}
	return ours, nil
}

// verdict makes the OperationOutcome.
func (s *Server) verdict(problem error, root *resource.Node, mode string) []byte {
	var issues []fhir.Issue
	var ours *fhir.Error
	if errors.As(problem, &ours) {
		issues = issuesOf(ours)
	}
	if root != nil && mode != "delete" {
		for _, profile := range root.Get("meta").List("profile") {
			if profile.Kind == resource.String && !baseProfile(profile.Text, root.Str("resourceType")) {
				issues = append(issues, fhir.Issue{
					Severity: fhir.SeverityWarning, Code: "not-supported", Expression: root.Str("resourceType") + ".meta.profile",
					Message: "profiles are not checked here: whether the resource follows " + fhir.Clip(profile.Text) + " is unknown",
				})
			}
		}
	}
	if ours == nil {
		message := "no problem was found by the base rules of R4"
		if mode != "" && mode != "profile" {
			message = "the " + mode + " would be carried out as things are now"
		}
		issues = append(issues, fhir.Issue{Severity: fhir.SeverityInformation, Code: "informational", Message: message})
	}
	return s.outcome(&fhir.Error{Kind: fhir.Invalid, Issues: issues})
}
