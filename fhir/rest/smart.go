package rest

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// smartPath is where SMART clients look for the authorization server, below the
// base. It is no interaction of FHIR, so it stands beside the table: a batch
// cannot ask for it.
const smartPath = "/.well-known/smart-configuration"

// smartConfiguration serves GET [base]/.well-known/smart-configuration,
// https://hl7.org/fhir/smart-app-launch/conformance.html. It needs no token, and
// it is JSON whatever the client accepts.
func (s *Server) smartConfiguration(c echo.Context) error {
	const allowed = "GET, HEAD, OPTIONS"
	switch method := c.Request().Method; method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		c.Response().Header().Set(echo.HeaderAllow, allowed)
		return c.NoContent(http.StatusNoContent)
	default:
		c.Response().Header().Set(echo.HeaderAllow, allowed)
		return fhir.Errorf(fhir.MethodNotAllowed, "%s is not possible here; allowed: %s", method, allowed)
	}
	if s.Security.SMART == nil {
		return fhir.Errorf(fhir.NotFound, "this server does not use SMART on FHIR; %smetadata says how callers are known", s.basePrefix)
	}
	body, err := s.Security.SMART.Configuration()
	if err != nil {
		return err
	}
	c.Set(formatKey, format{contentType: echo.MIMEApplicationJSON})
	return respond(c, http.StatusOK, body)
}

// endpoints are the URLs of the authorization server that the
// CapabilityStatement names; "" for what is unknown.
type endpoints struct{ authorize, token string }

func (s *Server) endpoints() endpoints {
	if s.Security.SMART == nil {
		return endpoints{}
	}
	authorize, token := s.Security.SMART.Endpoints()
	return endpoints{authorize, token}
}

// securityCapabilities is CapabilityStatement.rest.security. The extension with
// the URLs is how clients learned of them before smart-configuration; many still
// do: http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris.
func (s *Server) securityCapabilities(at endpoints) resource.Node {
	uri := func(name, value string) resource.Node {
		return object(text("url", name), text("valueUri", value))
	}
	var uris, extensions, services []resource.Node
	if at.authorize != "" {
		uris = append(uris, uri("authorize", at.authorize))
	}
	if at.token != "" {
		uris = append(uris, uri("token", at.token))
	}
	if len(uris) > 0 {
		extensions = []resource.Node{object(
			text("url", "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"),
			list("extension", uris),
		)}
	}
	if s.Security.SMART != nil {
		services = []resource.Node{object(
			list("coding", []resource.Node{object(
				text("system", "http://terminology.hl7.org/CodeSystem/restful-security-service"),
				text("code", "SMART-on-FHIR"),
				text("display", "SMART-on-FHIR"),
			)}),
			text("text", "OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)"),
		)}
	}
	return object(
		list("extension", extensions),
		flag("cors", len(s.Origins) > 0),
		list("service", services),
		text("description", s.Security.Description),
	)
}
