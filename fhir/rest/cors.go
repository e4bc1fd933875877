package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// What browsers may send and see, https://fetch.spec.whatwg.org/#http-cors-protocol.
var (
	corsRequestHeaders = strings.Join([]string{
		"Accept", "Authorization", "Content-Type", "If-Match", "If-Modified-Since",
		"If-None-Exist", "If-None-Match", "Origin", "Prefer", "X-Request-Id", securityContext,
	}, ", ")
	corsResponseHeaders = strings.Join([]string{
		"Accept-Patch", "Content-Location", "ETag", "Last-Modified", "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id", securityContext,
	}, ", ")
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
)

// cors sets the headers that let pages of the allowed origins use the API, and
// answers a preflight; then it returns true. What is public may be used by pages
// of any origin: https://hl7.org/fhir/smart-app-launch/conformance.html.
func (s *Server) cors(c echo.Context, public bool) bool {
	if len(s.Origins) == 0 && !public {
		return false
	}
	in, header := c.Request(), c.Response().Header()
	origin := in.Header.Get("Origin")
	everyone := slices.Contains(s.Origins, "*")
	if !public {
		header.Add("Vary", "Origin")
		if origin == "" || !everyone && !slices.Contains(s.Origins, origin) {
			return false
		}
	}
	if everyone || public {
		origin = "*"
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if in.Method != http.MethodOptions || in.Header.Get("Access-Control-Request-Method") == "" {
		header.Set("Access-Control-Expose-Headers", corsResponseHeaders)
		return false
	}
	header.Set("Access-Control-Allow-Methods", corsMethods)
	header.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	header.Set("Access-Control-Max-Age", "600")
	if in.Header.Get("Access-Control-Request-Private-Network") == "true" {
		// https://wicg.github.io/private-network-access/
		header.Set("Access-Control-Allow-Private-Network", "true")
	}
	c.Response().WriteHeader(http.StatusNoContent)
	return true
}
