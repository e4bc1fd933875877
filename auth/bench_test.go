package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/auth/authtest"
)

// BenchmarkAuthorize measures what a token adds to a request: verified before
// ("kept"), or for the first time.
func BenchmarkAuthorize(b *testing.B) {
	i := authtest.NewIssuer(b)
	s := newSite(b, nil, i)
	run := func(name, algorithm string, kept bool) {
		b.Run(name, func(b *testing.B) {
			token := i.Token(claims("scope", "openid fhirUser launch/patient patient/*.rs"), authtest.Algorithm(algorithm))
			req := httptest.NewRequest(http.MethodGet, "/fhir/Patient", nil)
			req.Header.Set("Authorization", "Bearer "+token)
			c := echo.New().NewContext(req, httptest.NewRecorder())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Authorize(c); err != nil {
					b.Fatal(err)
				}
				if !kept {
					s.verified.Purge()
				}
			}
		})
	}
	run("kept", "RS256", true)
	run("first RS256", "RS256", false)
	run("first ES384", "ES384", false)
}

// BenchmarkRefuse measures what a token that anybody can make up costs.
func BenchmarkRefuse(b *testing.B) {
	i := authtest.NewIssuer(b)
	s := newSite(b, nil, i)
	for name, token := range map[string]string{
		"unsigned":        i.Unsigned(claims()),
		"wrong signature": i.Token(claims(), authtest.SignedWith(otherKey(b))),
		"unknown key":     i.Token(claims(), authtest.KeyID("unknown")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.bearer(token) == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
