package resource_test

import (
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
)

func TestNarrative(t *testing.T) {
	tests := []struct {
		name, div string
		problem   string // a part of it; "" if valid
	}{
		{"plain", `<div …>text</div>`, ""},
		{"space around", " \n<div …>text</div>\n", ""},
		{"an image is content", `<div …><img src="#i" alt="x"/></div>`, ""},
		{"nested", `<div …><table class="grid"><tbody><tr><td colspan='2'>a</td></tr></tbody></table><br/></div>`, ""},
		{"entities", `<div …>&lt;&amp;&#160;&#x3b1;&nbsp;&eacute;</div>`, ""},
		{"comment", `<div …><!-- <script> -->x</div>`, ""},
		{"attribute holding >", `<div …><a title="a > b" href="x">y</a></div>`, ""},
		{"no content", `<div …/>`, "must have some content"},
		{"only space", "<div …> <p> </p></div>", "must have some content"},
		{"not a div", `<p …>x</p>`, "must be one <div>"},
		{"bare text", `text`, "must be one <div>"},
		{"two divs", `<div …>a</div><div …>b</div>`, "nothing behind it"},
		{"text behind", `<div …>a</div>b`, "nothing behind it"},
		{"no namespace", `<div>a</div>`, "lacks xmlns"},
		{"other namespace", `<div xmlns="http://www.w3.org/2000/svg">a</div>`, "not in the namespace"},
		{"not closed", `<div …><p>a`, "<p> is not closed"},
		{"closed in the wrong order", `<div …><b><i>a</b></i></div>`, "</b> stands where </i> is expected"},
		{"tag not closed", `<div …><b`, `not closed by ">"`},
		{"script", `<div …><script>x</script></div>`, "<script> is not allowed"},
		{"script in capitals", `<div …><SCRIPT>x</SCRIPT></div>`, "<SCRIPT> is not allowed"},
		{"form", `<div …><form action="x"><input/></form></div>`, "<form> is not allowed"},
		{"iframe", `<div …><iframe src="x"/></div>`, "<iframe> is not allowed"},
		{"object", `<div …><object/></div>`, "<object> is not allowed"},
		{"style element", `<div …><style>p{}</style></div>`, "<style> is not allowed"},
		{"event attribute", `<div …><p onclick="x()">a</p></div>`, "onclick of <p> is not allowed"},
		{"event attribute on the div", `<div … onload="x()">a</div>`, "onload of <div> is not allowed"},
		{"script link", `<div …><a href="javascript:alert(1)">a</a></div>`, "must not run a script"},
		{"script link with entities", `<div …><a href="java&#115;cript:alert(1)">a</a></div>`, "must not run a script"},
		{"script link with a tab", "<div …><a href=\" java\tscript:alert(1)\">a</a></div>", "must not run a script"},
		{"script link with a tab as entity", "<div …><a href=\"java&#9;script:alert(1)\">a</a></div>", "must not run a script"},
		{"script link in capitals", `<div …><a href="VBScript:x">a</a></div>`, "must not run a script"},
		{"attribute without value", `<div …><p class>a</p></div>`, "not written name"},
		{"attribute without quotes", `<div …><p class=x>a</p></div>`, "not written name"},
		{"attribute twice", `<div …><p class="a" class="b">a</p></div>`, "class twice"},
		{"attribute with <", `<div …><p class="<">a</p></div>`, "not written name"},
		{"bare ampersand", `<div …>a & b</div>`, "character reference"},
		{"unknown entity", `<div …>&foo;</div>`, "character reference"},
		{"NUL entity", `<div …>&#0;</div>`, "character reference"},
		{"bare <", `<div …>a < b</div>`, `write "&lt;"`},
		{"CDATA", `<div …><![CDATA[x]]></div>`, "CDATA"},
		{"processing instruction", `<div …><?php x ?></div>`, "processing instructions"},
		{"doctype", `<!DOCTYPE html><div …>x</div>`, "must be one <div>"},
		{"comment not closed", `<div …><!-- x</div>`, "comment is not closed"},
		{"divide", `<divide …>x</divide>`, "is not allowed"},
		{"deep", "<div …>" + strings.Repeat("<b>", 100) + "x" + strings.Repeat("</b>", 100) + "</div>", "nested deeper"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			div := strings.ReplaceAll(test.div, "…", `xmlns="http://www.w3.org/1999/xhtml"`)
			got := resource.NarrativeProblem(div)
			if (test.problem == "") != (got == "") || !strings.Contains(got, test.problem) {
				t.Errorf("got %q, want %q", got, test.problem)
			}
		})
	}
}

func FuzzNarrative(f *testing.F) {
	f.Add(`<div xmlns="http://www.w3.org/1999/xhtml"><p class='a'>x &amp; <a href="urn:uuid:1">y</a><br/></p><!-- c --></div>`)
	f.Add(`<div`)
	f.Add(`<div xmlns="http://www.w3.org/1999/xhtml"></`)
	f.Add(`<div xmlns="http://www.w3.org/1999/xhtml"><a href="java&#x73;cript:`)
	f.Fuzz(func(t *testing.T, div string) {
		problem := resource.NarrativeProblem(div)
		if problem == "" && (strings.Contains(div, "<script") || !strings.Contains(div, "</div") && !strings.Contains(div, "/>")) {
			// A script in a comment or an attribute is none.
			if !strings.Contains(div, "<!--") {
				t.Errorf("accepted %q", div)
			}
		}
		n := decode(t, `{"resourceType":"Patient","text":{"status":"generated"}}`)
		n.Get("text").Set("div", resource.Text(div))
		resource.EachURI(n, func(_ string, uri *resource.Node) {})
		if got := n.Path("text", "div").Text; got != div {
			t.Errorf("a visit that changes nothing made %q of %q", got, div)
		}
	})
}
