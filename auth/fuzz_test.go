package auth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/fhir"
)

// FuzzAuthorization checks that no text in an Authorization header panics or is
// let in, unless it is a token of the issuer.
func FuzzAuthorization(f *testing.F) {
	i := authtest.NewIssuer(f)
	s := newSite(f, nil, i)
	for _, test := range tokenCases(f, i, i, s.clock) {
		if len(test.token) <= maxToken && test.fails != "" {
			f.Add("Bearer " + test.token)
		}
	}
	good := i.Token(claims())
	for _, seed := range []string{"", "Bearer", "bearer  ", "Basic YTpi", "Bearer " + good + ".", "Bearer ." + good, "Bearer e30.e30.e30"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		req := httptest.NewRequest(http.MethodGet, "/fhir/Patient", nil)
		req.Header["Authorization"] = []string{header}
		rec := httptest.NewRecorder()
		access, err := s.Authorize(echo.New().NewContext(req, rec))
		switch kind := fhir.KindOf(err); {
		case err == nil && genuine(header, i):
		case err == nil:
			t.Fatalf("%q is let in", header)
		case access.Allow("batch", "") == nil:
			t.Errorf("%q gets an access with its error", header)
		case kind == fhir.Unauthenticated && rec.Header().Get("WWW-Authenticate") == "":
			t.Errorf("%q gets no challenge", header)
		case kind != fhir.Unauthenticated && kind != fhir.Forbidden && kind != fhir.Unavailable:
			t.Errorf("%q gives an error of kind %d", header, kind)
		}
		token := header[strings.IndexByte(header, ' ')+1:]
		if report := s.Inspect(t.Context(), token); report.OK() && !genuine("Bearer "+token, i) {
			t.Errorf("the report accepts %q", token)
		}
	})
}

// genuine reports whether the issuer has signed what a header holds, by the
// issuer's own keys, without the code under test.
func genuine(header string, i *authtest.Issuer) bool {
	_, token, _ := strings.Cut(header, " ")
	return i.Signed(strings.TrimSpace(token))
}
