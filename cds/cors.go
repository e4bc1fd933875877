package cds

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// allowOrigin lets scripts of an allowed origin read the answer. Callers prove
// who they are by a header, never by a cookie, so every origin may be allowed.
// https://cds-hooks.hl7.org/2.0/#cross-origin-resource-sharing
func (h *Handler) allowOrigin(c echo.Context) bool {
	header := c.Response().Header()
	if len(h.options.Origins) == 0 || slices.Contains(h.options.Origins, "*") {
		header.Set(echo.HeaderAccessControlAllowOrigin, "*")
		return true
	}
	header.Add(echo.HeaderVary, echo.HeaderOrigin)
	origin := c.Request().Header.Get(echo.HeaderOrigin)
	if !slices.Contains(h.options.Origins, origin) {
		return false
	}
	header.Set(echo.HeaderAccessControlAllowOrigin, origin)
	return true
}

// preflight answers an OPTIONS request, without asking for credentials.
// https://fetch.spec.whatwg.org/#cors-preflight-request
func (h *Handler) preflight(c echo.Context, r route) error {
	header := c.Response().Header()
	header.Set(echo.HeaderAllow, r.allow())
	if header.Get(echo.HeaderAccessControlAllowOrigin) == "" {
		return c.NoContent(http.StatusNoContent)
	}
	header.Set(echo.HeaderAccessControlAllowMethods, r.allow())
	header.Set(echo.HeaderAccessControlAllowHeaders, "Authorization, Content-Type, Accept")
	header.Set(echo.HeaderAccessControlMaxAge, "600")
	// Chromium asks this before a public page may call a private address.
	// https://wicg.github.io/private-network-access/
	if c.Request().Header.Get("Access-Control-Request-Private-Network") == "true" {
		header.Set("Access-Control-Allow-Private-Network", "true")
	}
	return c.NoContent(http.StatusNoContent)
}

// allow lists the methods of a route as the Allow header wants them.
func (r route) allow() string {
	methods := []string{http.MethodOptions}
	for method := range r.methods {
		methods = append(methods, method)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
