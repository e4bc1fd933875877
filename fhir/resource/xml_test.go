package resource_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// ordered returns a tree with the members of its objects sorted, so that trees
// can be compared whose JSON has them in another order.
func ordered(n resource.Node) resource.Node {
	out := resource.Node{Kind: n.Kind, Text: n.Text}
	for _, f := range n.Fields {
		if f.Node.Kind == resource.Array && !slices.ContainsFunc(f.Node.Items, func(n resource.Node) bool { return n.Kind != resource.Null }) {
			continue // "given":[null] beside _given says nothing
		}
		node := ordered(f.Node)
		if f.Name == "div" {
			node.Text = strings.Trim(node.Text, " \t\r\n") // around the div, not in it
		}
		out.Fields = append(out.Fields, resource.Field{Name: f.Name, Node: node})
	}
	slices.SortFunc(out.Fields, func(a, b resource.Field) int { return strings.Compare(a.Name, b.Name) })
	for _, item := range n.Items {
		out.Items = append(out.Items, ordered(item))
	}
	return out
}

// wellFormed lets the standard library read a document.
func wellFormed(tb testing.TB, doc []byte) {
	tb.Helper()
	d := xml.NewDecoder(strings.NewReader(string(doc)))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			tb.Fatalf("encoding/xml cannot read it: %v\n%s", err, doc)
		}
	}
}

// toXMLAndBack takes a resource through both forms of XML.
func toXMLAndBack(tb testing.TB, n *resource.Node) {
	tb.Helper()
	want := ordered(*n)
	for _, indent := range []bool{false, true} {
		doc, err := resource.XML(n.JSON(), indent)
		if err != nil {
			tb.Fatalf("to XML: %v\n%s", err, n.JSON())
		}
		wellFormed(tb, doc)
		back, err := resource.DecodeXML(doc)
		if err != nil {
			tb.Fatalf("from XML: %v\n%s", err, doc)
		}
		if got := ordered(*back); !same(&got, &want) {
			tb.Fatalf("got %s\nwant %s\nXML %s", got.JSON(), want.JSON(), doc)
		}
	}
}

// TestXMLOfOfficialExamples: all of HL7's examples that the gate takes keep
// their content from JSON to XML and back.
func TestXMLOfOfficialExamples(t *testing.T) {
	folder := golden.R4Examples(t)
	if folder == "" {
		t.Skip("STARLING_R4_EXAMPLES does not name a folder with the unpacked package hl7.fhir.r4.examples@4.0.1")
	}
	seen, ran, excluded := 0, 0, 0
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" || entry.Name() == "package.json" || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		if seen++; seen%everyNth != 0 {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, err := resource.Decode(data)
		if err != nil {
			return err
		}
		if _, refused := exclusions[n.Str("resourceType")+"/"+n.Str("id")]; refused {
			excluded++
			return nil
		}
		ran++
		toXMLAndBack(t, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d examples, %d run, %d excluded", seen, ran, excluded)
	if everyNth == 1 && (ran < 5280 || ran+excluded != 5306) {
		t.Errorf("%d of %d examples ran", ran, seen)
	}
}

// TestXMLOfOwnExamples does the same with the repository's own resources.
func TestXMLOfOwnExamples(t *testing.T) {
	for name, text := range files(t, "good") {
		t.Run(name, func(t *testing.T) {
			n, err := resource.Decode([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			toXMLAndBack(t, n)
		})
	}
}

// TestXMLForms pairs JSON with its XML, which must come out of and go into each
// other. https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html
func TestXMLForms(t *testing.T) {
	tests := []struct{ name, json, xml string }{
		{
			"the id of a resource is an element, that of an element an attribute",
			`{"resourceType":"Patient","id":"a","name":[{"id":"n1","family":"Quill"}]}`,
			`<Patient xmlns="http://hl7.org/fhir"><id value="a"/><name id="n1"><family value="Quill"/></name></Patient>`,
		},
		{
			"decimals keep their text",
			`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}`,
			`<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><valueQuantity><value value="1.50"/></valueQuantity></Observation>`,
		},
		{
			"an exponent stays one",
			`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":-1.0e+20}}`,
			`<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><valueQuantity><value value="-1.0e+20"/></valueQuantity></Observation>`,
		},
		{
			"numbers and booleans are bare in JSON, codes that look like them are not",
			`{"resourceType":"Patient","active":true,"name":[{"family":"true"}],"multipleBirthInteger":2}`,
			`<Patient xmlns="http://hl7.org/fhir"><active value="true"/><name><family value="true"/></name><multipleBirthInteger value="2"/></Patient>`,
		},
		{
			"a primitive with a value, an id and an extension",
			`{"resourceType":"Patient","birthDate":"1970-03-30","_birthDate":{"id":"bd","extension":[{"url":"http://a.example/t","valueDateTime":"1970-03-30T10:00:00Z"}]}}`,
			`<Patient xmlns="http://hl7.org/fhir"><birthDate id="bd" value="1970-03-30"><extension url="http://a.example/t"><valueDateTime value="1970-03-30T10:00:00Z"/></extension></birthDate></Patient>`,
		},
		{
			"a primitive without a value",
			`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://a.example/absent","valueCode":"unknown"}]}}`,
			`<Patient xmlns="http://hl7.org/fhir"><birthDate><extension url="http://a.example/absent"><valueCode value="unknown"/></extension></birthDate></Patient>`,
		},
		{
			"a list of primitives is padded with null",
			`{"resourceType":"Patient","name":[{"given":["Ada",null,"Eve"],"_given":[null,{"extension":[{"url":"http://a.example/x","valueBoolean":false}]},{"id":"g3"}]}]}`,
			`<Patient xmlns="http://hl7.org/fhir"><name><given value="Ada"/><given><extension url="http://a.example/x"><valueBoolean value="false"/></extension></given><given id="g3" value="Eve"/></name></Patient>`,
		},
		{
			"a choice that has only an extension",
			`{"resourceType":"Patient","_deceasedBoolean":{"extension":[{"url":"http://a.example/x","valueCode":"unknown"}]}}`,
			`<Patient xmlns="http://hl7.org/fhir"><deceasedBoolean><extension url="http://a.example/x"><valueCode value="unknown"/></extension></deceasedBoolean></Patient>`,
		},
		{
			"contained resources",
			`{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"Ward"}],"managingOrganization":{"reference":"#o"}}`,
			`<Patient xmlns="http://hl7.org/fhir"><contained><Organization><id value="o"/><name value="Ward"/></Organization></contained><managingOrganization><reference value="#o"/></managingOrganization></Patient>`,
		},
		{
			"the entries of a Bundle stand where R4 has them",
			`{"resourceType":"Bundle","type":"collection","total":1,"link":[{"relation":"self","url":"http://a.example/"}],"entry":[{"fullUrl":"http://a.example/Patient/a","resource":{"resourceType":"Patient","id":"a"}}],"signature":{"type":[{"code":"x"}],"when":"2026-01-01T00:00:00Z","who":{"display":"w"}}}`,
			`<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><total value="1"/><link><relation value="self"/><url value="http://a.example/"/></link><entry><fullUrl value="http://a.example/Patient/a"/><resource><Patient><id value="a"/></Patient></resource></entry><signature><type><code value="x"/></type><when value="2026-01-01T00:00:00Z"/><who><display value="w"/></who></signature></Bundle>`,
		},
		{
			"a Bundle in a Bundle",
			`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"a"}}]}}]}`,
			`<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource><Bundle><type value="collection"/><entry><resource><Patient><id value="a"/></Patient></resource></entry></Bundle></resource></entry></Bundle>`,
		},
		{
			"Parameters, with parts and resources",
			`{"resourceType":"Parameters","parameter":[{"name":"p","part":[{"name":"q","valueDecimal":0.10}]},{"name":"r","resource":{"resourceType":"Patient","active":false}}]}`,
			`<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="p"/><part><name value="q"/><valueDecimal value="0.10"/></part></parameter><parameter><name value="r"/><resource><Patient><active value="false"/></Patient></resource></parameter></Parameters>`,
		},
		{
			"content that refers to another element's",
			`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"1.1","type":"string"}]}]}`,
			`<Questionnaire xmlns="http://hl7.org/fhir"><status value="draft"/><item><linkId value="1"/><type value="group"/><item><linkId value="1.1"/><type value="string"/></item></item></Questionnaire>`,
		},
		{
			"white space, quotes and marks in a value",
			`{"resourceType":"Patient","name":[{"text":"a\tb\nc\r\n <\"&'> ü🧬"}]}`,
			"<Patient xmlns=\"http://hl7.org/fhir\"><name><text value=\"a&#9;b&#10;c&#13;&#10; &lt;&quot;&amp;'> ü🧬\"/></name></Patient>",
		},
		{
			"a narrative",
			`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" class='x'>a &amp; b<br/>\n <!-- c --> <b>1 &lt; 2</b></div>"}}`,
			"<Patient xmlns=\"http://hl7.org/fhir\"><text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\" class='x'>a &amp; b<br/>\n <!-- c --> <b>1 &lt; 2</b></div></text></Patient>",
		},
		{"a resource without elements", `{"resourceType":"Parameters"}`, `<Parameters xmlns="http://hl7.org/fhir"/>`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			doc, err := resource.XML([]byte(test.json), false)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(string(doc), `<?xml version="1.0" encoding="UTF-8"?>`); got != test.xml {
				t.Errorf("to XML:\n got %s\nwant %s", got, test.xml)
			}
			n, err := resource.DecodeXML([]byte(test.xml))
			if err != nil {
				t.Fatal(err)
			}
			want, err := resource.Decode([]byte(test.json))
			if err != nil {
				t.Fatal(err)
			}
			if a, b := ordered(*n), ordered(*want); !same(&a, &b) {
				t.Errorf("from XML:\n got %s\nwant %s", n.JSON(), test.json)
			}
		})
	}
}

// TestXMLReading: what says the same in other words is read the same.
func TestXMLReading(t *testing.T) {
	const ns = ` xmlns="http://hl7.org/fhir"`
	const div = `<div xmlns="http://www.w3.org/1999/xhtml">`
	tests := []struct{ name, xml, json string }{
		{"a declaration, comments, instructions and white space", "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\" standalone='yes'?>\r\n<!-- a -->\n<?b c?><Patient" + ns + ">\n\t<!-- d --><?e?>\n <active value='true' /> </Patient>\n<!-- f -->\n", `{"resourceType":"Patient","active":true}`},
		{"a prefix", `<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"></f:active></f:Patient>`, `{"resourceType":"Patient","active":true}`},
		{"a schema location", `<Patient` + ns + ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd"><active value="true"/></Patient>`, `{"resourceType":"Patient","active":true}`},
		{"references in a value", `<Patient` + ns + `><name><text value="&#x41;&#66;&lt;&gt;&amp;&quot;&apos;"/></name></Patient>`, `{"resourceType":"Patient","name":[{"text":"AB<>&\"'"}]}`},
		{"white space of an attribute becomes blanks", "<Patient" + ns + "><name><text value=\"a\tb\nc\r\nd\"/></name></Patient>", `{"resourceType":"Patient","name":[{"text":"a b c d"}]}`},
		{"an empty CDATA section", `<Patient` + ns + `><![CDATA[ ]]><active value="true"/></Patient>`, `{"resourceType":"Patient","active":true}`},
		{"a narrative under a prefix", `<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text><f:status value="generated"/><h:div class="c"><h:b>x</h:b><h:br/></h:div></f:text></f:Patient>`, `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" class=\"c\"><b>x</b><br/></div>"}}`},
		{"a narrative whose namespace is declared around it", `<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml"><f:text><f:status value="generated"/><div>x</div></f:text></f:Patient>`, `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}}`},
		{"CDATA and instructions in a narrative", `<Patient` + ns + `><text><status value="generated"/>` + div + `a<![CDATA[<b> & c]]><?php x?></div></text></Patient>`, `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a&lt;b&gt; &amp; c</div>"}}`},
		{"a prefix declared in a narrative", `<Patient` + ns + `><text><status value="generated"/>` + `<div xmlns="http://www.w3.org/1999/xhtml" xmlns:f="urn:x" xml:lang="de">x</div></text></Patient>`, `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"de\">x</div>"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := resource.DecodeXML([]byte(test.xml))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(n.JSON()); got != test.json {
				t.Errorf("got %s\nwant %s", got, test.json)
			}
		})
	}
}

// TestXMLNarrativeEntities: entities of HTML are characters in XML, and what XML
// forbids in comments and texts is written otherwise.
func TestXMLNarrativeEntities(t *testing.T) {
	const in = `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" title=\"a&nbsp;b\">&eacute;&#169;&amp;]]> <!-- a -- b ---></div>"}}`
	doc, err := resource.XML([]byte(in), false)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, doc)
	const want = `title="a&#160;b">&#233;&#169;&amp;]]&gt; <!-- a - - b - --></div>`
	if !strings.Contains(string(doc), want) {
		t.Errorf("got %s\nwant %s", doc, want)
	}
}

// TestXMLRefusals: what is no resource in XML is refused, with its place.
func TestXMLRefusals(t *testing.T) {
	patient := func(inner string) string { return `<Patient xmlns="http://hl7.org/fhir">` + inner + `</Patient>` }
	tests := []struct {
		name, xml string
		messages  []string // parts of the issues, in order
	}{
		{"nothing", "", []string{"line 1, column 1: there is no element"}},
		{"text", "hello", []string{"text stands outside the root element"}},
		{"JSON", `{"resourceType":"Patient"}`, []string{"text stands outside the root element"}},
		{"a document type", `<!DOCTYPE Patient><Patient xmlns="http://hl7.org/fhir"/>`, []string{"document type"}},
		{"an external entity", `<!DOCTYPE Patient [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + patient(`<id value="&x;"/>`), []string{"document type"}},
		{"a billion laughs", `<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>` + patient(`<id value="&b;"/>`), []string{"document type"}},
		{"an entity of HTML", patient(`<name><text value="a&nbsp;b"/></name>`), []string{"line 1, column 58: the entity &nbsp; is not defined"}},
		{"an entity of nobody in text", patient(`&x;`), []string{"the entity &x; is not defined"}},
		{"a bare ampersand", patient(`<name><text value="a & b"/></name>`), []string{`an "&" must begin a reference`}},
		{"a reference to a character that XML lacks", patient(`<name><text value="&#0;"/></name>`), []string{`an "&" must begin a reference`}},
		{"half a surrogate pair", patient(`<name><text value="&#xD800;"/></name>`), []string{`an "&" must begin a reference`}},
		{"a control character", patient("<name><text value=\"\x01\"/></name>"), []string{"column 57: a character that XML does not allow"}},
		{"not UTF-8", patient("<name><text value=\"\xff\"/></name>"), []string{"not valid UTF-8"}},
		{"UTF-16", "\xff\xfe<\x00", []string{"UTF-16"}},
		{"another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?>` + patient(""), []string{`the encoding "ISO-8859-1" is not read`}},
		{"another version", `<?xml version="1.1"?>` + patient(""), []string{`XML version "1.1"`}},
		{"no namespace", `<Patient><active value="true"/></Patient>`, []string{"<Patient> is not in the namespace http://hl7.org/fhir"}},
		{"another namespace inside", patient(`<active xmlns="urn:x" value="true"/>`), []string{"<active> is not in the namespace http://hl7.org/fhir"}},
		{"a prefix that is not declared", `<f:Patient/>`, []string{"the prefix of <f:Patient> is not declared"}},
		{"no such type", `<Patent xmlns="http://hl7.org/fhir"/>`, []string{`"Patent" is not an R4 resource type; did you mean`}},
		{"a data type as the root", `<HumanName xmlns="http://hl7.org/fhir"/>`, []string{`"HumanName" is not an R4 resource type`}},
		{"a tag that is not closed", `<Patient xmlns="http://hl7.org/fhir"><active value="true"/>`, []string{"<Patient> is not closed"}},
		{"tags that cross", patient(`<name><text value="x"></name></text>`), []string{"</name> stands where </text> is expected"}},
		{"two roots", patient("") + patient(""), []string{"a second root element"}},
		{"text behind", patient("") + "x", []string{"text stands outside the root element"}},
		{"an attribute twice", patient(`<active value="true" value="false"/>`), []string{"the attribute value is there twice"}},
		{"an attribute without quotes", patient(`<active value=true/>`), []string{"the value of value must stand in quotes"}},
		{"a comment with two hyphens", patient(`<!-- a -- b -->`), []string{`a comment must not hold "--"`}},
		{"text as a value", patient("\n  <active>true</active>"), []string{"line 2, column 11: there must be no text here", "line 2, column 3: <active> must have a value or extensions"}},
		{"every unknown element and attribute at once", patient("\n<activ value=\"true\"/>\n<gender valu=\"male\"/>\n<x><y/></x>"), []string{
			`line 2, column 1: unknown element "activ" of Patient; did you mean "active"?`,
			`line 3, column 9: <gender> must not have the attribute valu`,
			`<gender> must have a value or extensions`,
			`line 4, column 1: unknown element "x" of Patient`,
		}},
		{"an element twice that does not repeat", patient(`<active value="true"/><active value="false"/>`), []string{"<active> is there twice, but does not repeat"}},
		{"two types of a choice", patient(`<deceasedBoolean value="true"/><deceasedDateTime value="2020"/>`), []string{"may have only one type, found both deceasedBoolean and deceasedDateTime"}},
		{"elements out of order", patient(`<gender value="male"/><active value="true"/>`), []string{"<active> must stand before <gender>"}},
		{"repeats that are not together", patient(`<name><family value="a"/></name><gender value="male"/><name><family value="b"/></name>`), []string{"<name> must stand before <gender>"}},
		{"the id of a resource as an attribute", `<Patient xmlns="http://hl7.org/fhir" id="a"/>`, []string{`must not have the attribute id: it is an element, <id value="…"/>`}},
		{"the url of an extension as an element", patient(`<extension><url value="http://a.example/"/></extension>`), []string{"url is an attribute, not an element"}},
		{"a value on what is no primitive", patient(`<name value="x"/>`), []string{"must not have the attribute value: only primitive elements have a value"}},
		{"a type by xsi", `<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><active xsi:type="boolean" value="true"/></Patient>`, []string{"must not have the attribute type"}},
		{"a number that is none", patient(`<multipleBirthInteger value="+2"/>`), []string{`"+2" is not a whole number`}},
		{"a decimal with a zero in front", `<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="01.5"/></valueQuantity></Observation>`, []string{`"01.5" is not a decimal number`}},
		{"a decimal that XML Schema knows", `<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value=".5"/></valueQuantity></Observation>`, []string{`".5" is not a decimal number`}},
		{"a boolean that XML Schema knows", patient(`<active value="1"/>`), []string{`"1" is not true or false`}},
		{"contained without a resource", patient(`<contained/>`), []string{"<contained> must hold a resource"}},
		{"two resources in one contained", patient(`<contained><Patient/><Patient/></contained>`), []string{"<contained> must hold one resource only"}},
		{"a contained element that is no resource", patient(`<contained><name/></contained>`), []string{`"name" is not an R4 resource type`}},
		{"a narrative of FHIR's namespace", patient(`<text><status value="generated"/><div>x</div></text>`), []string{"<div> is not in the namespace http://www.w3.org/1999/xhtml"}},
		{"something foreign in a narrative", patient(`<text><div xmlns="http://www.w3.org/1999/xhtml"><a xmlns="urn:x"/></div></text>`), []string{"<a> is not in the namespace http://www.w3.org/1999/xhtml"}},
		{"too deep", patient(strings.Repeat("<extension url='x'>", 40) + strings.Repeat("</extension>", 40)), []string{"nested deeper than 64 levels"}},
		{"too deep where nobody looks", patient(strings.Repeat("<x>", 10_000) + strings.Repeat("</x>", 10_000)), []string{`unknown element "x"`, "nested deeper than 160 elements"}},
		{"too many attributes", `<Patient xmlns="http://hl7.org/fhir" ` + manyAttributes(100) + `/>`, []string{"more than 64 attributes"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := resource.DecodeXML([]byte(test.xml))
			var ours *fhir.Error
			if !errors.As(err, &ours) || ours.Kind != fhir.Invalid {
				t.Fatalf("got %v, want an error of kind Invalid", err)
			}
			if len(ours.Issues) != len(test.messages) {
				t.Errorf("%d issues, want %d: %+v", len(ours.Issues), len(test.messages), ours.Issues)
			}
			for i, want := range test.messages {
				if i < len(ours.Issues) && !strings.Contains(ours.Issues[i].Message, want) {
					t.Errorf("issue %d is %q, want %q", i, ours.Issues[i].Message, want)
				}
			}
		})
	}
}

func manyAttributes(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString("a" + strings.Repeat("x", i) + `="" `)
	}
	return out.String()
}

// TestXMLPlaces: an issue names the element by FHIRPath.
func TestXMLPlaces(t *testing.T) {
	const in = `<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry/><entry><resource><Patient><name/><name><given value="a"/><given x="y" value="b"/></name></Patient></resource></entry></Bundle>`
	_, err := resource.DecodeXML([]byte(in))
	var ours *fhir.Error
	if !errors.As(err, &ours) || len(ours.Issues) != 1 {
		t.Fatalf("got %v, want one issue", err)
	}
	if got, want := ours.Issues[0].Expression, "Bundle.entry[1].resource.name[1].given[1]"; got != want {
		t.Errorf("the place is %s, want %s", got, want)
	}
}

// TestXMLProblemsAreBounded: a text full of them is not answered with as many.
func TestXMLProblemsAreBounded(t *testing.T) {
	_, err := resource.DecodeXML([]byte(`<Patient xmlns="http://hl7.org/fhir">` + strings.Repeat("<x/>", 100_000) + `</Patient>`))
	var ours *fhir.Error
	if !errors.As(err, &ours) || len(ours.Issues) != 101 {
		t.Fatalf("%d issues, want 100 and one that says so", len(ours.Issues))
	}
}

// TestXMLCannotHold: characters that XML has no way to write are not lost or
// replaced, but refused.
func TestXMLCannotHold(t *testing.T) {
	for _, in := range []string{
		`{"resourceType":"Patient","name":[{"text":"a\uffffb"}]}`,
		`{"resourceType":"Patient","name":[{"text":"\u0001"}]}`,
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">&#xfffe;</div>"}}`,
	} {
		if _, err := resource.XML([]byte(in), false); fhir.KindOf(err) != fhir.NotAcceptable {
			t.Errorf("%s: got %v, want an error of kind NotAcceptable", in, err)
		}
	}
}
