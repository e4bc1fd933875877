package search

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

// wordsOf returns the words that a resource is found by.
func wordsOf(t *testing.T, param, doc string) []string {
	t.Helper()
	entries, _, err := testRegistry(t).Index([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Param == param {
			text, _ := cutText(e.Value[1:])
			out = append(out, string(text))
		}
	}
	return out
}

func TestWords(t *testing.T) {
	for _, test := range []struct{ name, doc, text, content string }{
		{
			"tags go, inline ones without a gap, entities are resolved",
			`{"resourceType":"Basic","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" title=\"no\"><p>H<sub>2</sub>O</p><p>Caf&eacute; &amp; t&#233;<!-- not <b>this</b> -->n<br/>end</p></div>"}}`,
			"cafe end h2o ten", "cafe end h2o ten",
		},
		{
			"displays, texts, notes and names, no codes, systems, ids, dates, units",
			`{"resourceType":"Observation","id":"secret","status":"final","issued":"2020-01-01T00:00:00Z","identifier":[{"system":"http://x.example/sys","value":"A123"}],
			"code":{"coding":[{"system":"http://loinc.org","code":"2339-0","version":"2.7","display":"Glucose [Mass/volume]"}],"text":"Zucker"},
			"subject":{"reference":"Patient/p","display":"Łukasz"},"valueQuantity":{"value":5,"unit":"milligram","code":"mg"},"note":[{"text":"*Gut* so"}],
			"referenceRange":[{"text":"normal"}],"component":[{"code":{"text":"inner"},"referenceRange":[{"text":"deep"}]}],"extension":[{"url":"http://e.example","valueString":"extra"}]}`,
			"", "deep extra glucose gut inner lukasz mass normal so volume zucker",
		},
		{
			"a section's narrative is content, and what is contained is too",
			`{"resourceType":"Composition","title":"Report","section":[{"text":{"div":"<div>Liver</div>"}}],"contained":[{"resourceType":"Basic","id":"b","text":{"div":"<div>spleen</div>"}}]}`,
			"", "liver report spleen",
		},
		{
			"scripts without spaces are read character by character",
			`{"resourceType":"Basic","code":{"text":"高血圧症 ABC テスト"}}`, "", "abc テ ス ト 圧 症 血 高",
		},
		{"a bundle has the words of its entries", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","code":{"text":"inside"}}}]}`, "", "inside"},
		{"a broken narrative ends where it breaks", `{"resourceType":"Basic","text":{"div":"<div>one <b two"}}`, "one", "one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, content := wordsOf(t, narrativeParam, test.doc), wordsOf(t, contentParam, test.doc)
			want := strings.Fields(test.content)
			slices.Sort(want)
			if got := strings.Join(text, " "); got != test.text {
				t.Errorf("_text: %q, want %q", got, test.text)
			}
			if !slices.Equal(content, want) {
				t.Errorf("_content: %q, want %q", content, want)
			}
		})
	}
}

// TestWordsAreLimited: a resource with more words than count is accepted, and
// found by the first of them.
func TestWordsAreLimited(t *testing.T) {
	var many strings.Builder
	for i := range maxWords + 100 {
		fmt.Fprintf(&many, "w%04d w0000 ", i)
	}
	long := strings.Repeat("x", 300)
	doc, _ := json.Marshal(map[string]any{"resourceType": "Basic", "code": map[string]any{"text": long + " " + many.String()}})
	words := wordsOf(t, contentParam, string(doc))
	if len(words) != maxWords || !slices.Contains(words, "w0000") {
		t.Errorf("%d words from %s", len(words), words[0])
	}
	if slices.Contains(words, fmt.Sprintf("w%04d", maxWords+50)) {
		t.Error("a word beyond the limit is found")
	}
	if !finds(t, string(doc), "_content="+long) || finds(t, string(doc), "_content="+long+"y") {
		t.Error("a long word is not found by itself alone")
	}
}

func TestTextQueries(t *testing.T) {
	const doc = `{"resourceType":"Condition","text":{"div":"<div>Bone metastases, beta-blocker given</div>"},"code":{"text":"Carcinoma of O'Brien"}}`
	for _, test := range []struct {
		query string
		want  bool
	}{
		{"_text=bone", true},
		{"_text=BONE", true},
		{"_text=bon", false},
		{"_text=bon*", true},
		{"_text=carcinoma", false},
		{"_content=carcinoma", true},
		{"_content=obrien", true},
		{"_content=O'Brien", true},
		{"_text=bone metastases", true},
		{"_text=bone liver", false},
		{"_text=bone and metastases", true},
		{"_text=(bone OR liver) and metastases", true},
		{"_text=liver or spleen", false},
		{"_text=liver,bone", true},
		{"_text=liver,spleen", false},
		{"_text=bone -liver", true},
		{"_text=bone -metastases", false},
		{"_text=bone not metastases", false},
		{"_text=NOT liver", true},
		{"_text=-(liver or spleen)", true},
		{"_text=-(liver or bone)", false},
		{"_text=not not bone", true},
		{"_text=beta-blocker", true},
		{"_text=blocker-beta", true},
		{"_text=beta-block*", true},
		{"_text=beta-agonist", false},
		{"_content=carcinoma metast*", true},
		{"_text=liver spleen or bone metastases", true},
		{"_text=bone (liver or spleen)", false},
	} {
		if got := finds(t, doc, strings.ReplaceAll(test.query, " ", "+")); got != test.want {
			t.Errorf("%s: %t, want %t", test.query, got, test.want)
		}
	}
}

func TestTextErrors(t *testing.T) {
	for _, test := range []struct {
		value, says string
		kind        fhir.Kind
	}{
		{`"bone liver"`, "without the quotes", fhir.NotSupported},
		{"bo*ne", "at the end", fhir.Invalid},
		{"*", "no letter", fhir.Invalid},
		{"+", "no letter", fhir.Invalid},
		{"and", "missing before and", fhir.Invalid},
		{"bone or", "missing at the end", fhir.Invalid},
		{"(bone", "not closed", fhir.Invalid},
		{"bone)", "closes nothing", fhir.Invalid},
		{"()", "missing before )", fhir.Invalid},
		{"bone,", "missing", fhir.Invalid},
		{"not", "missing", fhir.Invalid},
		{strings.Repeat("(", 30) + "x" + strings.Repeat(")", 30), "parentheses", fhir.TooLarge},
		{strings.Repeat("word ", 100), "words", fhir.TooLarge},
		{strings.Repeat("x", 80) + "*", "longer than", fhir.Invalid},
	} {
		_, _, err := textClause(narrativeParam, test.value)
		if fhir.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.says) || !strings.HasPrefix(err.Error(), "_text: ") {
			t.Errorf("%s: %v", test.value, err)
		}
	}
}

func TestTextWords(t *testing.T) {
	_, words, err := textClause(contentParam, "Bone or (-liver and not -Café*),bone")
	if err != nil || strings.Join(words, " ") != "bone cafe*" {
		t.Errorf("%q %v", words, err)
	}
}

// TestScore: more of the words, and more often, and in a shorter text, is better.
func TestScore(t *testing.T) {
	r := testRegistry(t)
	score := func(text string, words ...string) float64 {
		doc, _ := json.Marshal(map[string]any{"resourceType": "Basic", "code": map[string]any{"text": text}})
		s := r.Score(doc, words)
		if s <= 0 || s > 1 {
			t.Errorf("%q: score %v", text, s)
		}
		return s
	}
	order := []float64{
		score("nothing of it", "bone", "pain"),
		score("bone "+strings.Repeat("x ", 1000), "bone", "pain"),
		score("bone here", "bone", "pain"),
		score("bone pain "+strings.Repeat("x ", 300), "bone", "pain"),
		score("bone pain", "bone", "pain"),
		score("bone pain, bone pain", "bone", "pain"),
	}
	if !slices.IsSorted(order) || len(slices.Compact(slices.Clone(order))) != len(order) {
		t.Errorf("scores: %v", order)
	}
	if a, b := score("bones", "bon*"), score("bones", "bone"); a <= b {
		t.Errorf("a prefix that is there has %v, a word that is not %v", a, b)
	}
	if got := score("anything"); got != 1 {
		t.Errorf("no words: %v", got)
	}
}

func FuzzTextClause(f *testing.F) {
	for _, value := range []string{"(bone OR liver) and metastases", "-a* not (b,c)", `"x"`, "高血圧"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, words, err := textClause(contentParam, value)
		if err != nil {
			return
		}
		if len(words) > 0 && c.Param == "" && c.Any == nil {
			t.Errorf("%q selects by nothing", value)
		}
		Match("Basic", []Entry{{contentParam, []byte{classTextWord, 'a', 0}}}, c)
	})
}
