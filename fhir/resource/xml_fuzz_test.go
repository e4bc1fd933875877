package resource_test

import (
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// FuzzXML reads anything as XML. What is read makes a tree that the decoder of
// JSON takes too, with the same content, and comes out of XML again as it went
// in. What is refused is refused with the right kind, whatever it is.
func FuzzXML(f *testing.F) {
	for _, text := range files(f, "good") {
		if doc, err := resource.XML([]byte(text), false); err == nil {
			f.Add(doc)
		}
	}
	for _, seed := range []string{
		`<!DOCTYPE a [<!ENTITY b "c">]><Patient xmlns="http://hl7.org/fhir"><id value="&b;"/></Patient>`,
		`<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml"><f:text><f:status value="empty"/><div>a<![CDATA[<]]><?x?><!-- y --></div></f:text></f:Patient>`,
		"<?xml version='1.0'?><Patient xmlns=\"http://hl7.org/fhir\"><name><given value=\"a\r\n\"/><given id='x'/></name></Patient>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := resource.DecodeXML(data)
		if err != nil {
			if k := fhir.KindOf(err); k != fhir.Invalid && k != fhir.TooLarge {
				t.Fatalf("kind %v: %v", k, err)
			}
			return
		}
		wellFormed(t, data)
		json := n.JSON()
		again, err := resource.Decode(json)
		if err != nil {
			t.Fatalf("the tree is no JSON: %v\n%s", err, json)
		}
		if !same(n, again) {
			t.Fatalf("the tree is %s, not %s", again.JSON(), json)
		}
		doc, err := resource.XML(json, false)
		if err != nil {
			return // a narrative that the gate would refuse
		}
		back, err := resource.DecodeXML(doc)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, doc)
		}
		// HTML's entities and some comments are written in another way once.
		if strings.Contains(string(json), `"div":`) {
			return
		}
		if !same(n, back) {
			t.Fatalf("got %s\nwant %s", back.JSON(), json)
		}
	})
}

// FuzzXMLOfResource writes whatever the gate takes: the standard library can read
// it, and it says the same.
func FuzzXMLOfResource(f *testing.F) {
	for _, text := range files(f, "good") {
		f.Add([]byte(text))
	}
	gate := newGate(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := resource.Decode(data)
		if err != nil || gate.Check(n) != nil {
			return
		}
		doc, err := resource.XML(n.JSON(), true)
		if err != nil {
			if fhir.KindOf(err) != fhir.NotAcceptable {
				t.Fatalf("kind %v: %v\n%s", fhir.KindOf(err), err, n.JSON())
			}
			return
		}
		wellFormed(t, doc)
		back, err := resource.DecodeXML(doc)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		want, got := ordered(*n), ordered(*back)
		if strings.Contains(string(n.JSON()), `"div":`) {
			return
		}
		if !same(&want, &got) {
			t.Fatalf("got %s\nwant %s", got.JSON(), want.JSON())
		}
	})
}

func BenchmarkDecodeXML(b *testing.B) {
	for _, name := range benchNames {
		b.Run(name, func(b *testing.B) {
			doc, err := resource.XML(benchFile(b, name), false)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := resource.DecodeXML(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkXML(b *testing.B) {
	for _, name := range benchNames {
		b.Run(name, func(b *testing.B) {
			n := decode(b, string(benchFile(b, name)))
			json := n.JSON()
			b.SetBytes(int64(len(json)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := resource.XML(json, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
