package mongo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// maxNativeDepth is how deep a native document may be: MongoDB takes 100 levels,
// and it is within another one.
const maxNativeDepth = 90

var errNative = errors.New("the JSON cannot be a native document")

// native turns a resource's JSON into a document. Integers are int64, other
// numbers Decimal128 if they are exact as one, digit by digit; else numbers are
// strings. FHIR's names hold neither "$", "." nor NUL; should one, the first two
// are replaced by their full-width forms, and for the last there is no document.
func native(text []byte) (bson.D, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	token, err := dec.Token()
	if err != nil || token != json.Delim('{') {
		return nil, errNative
	}
	doc, err := nativeObject(dec, 1)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errNative
	}
	return doc, nil
}

func nativeObject(dec *json.Decoder, depth int) (bson.D, error) {
	doc := bson.D{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok || strings.IndexByte(name, 0) >= 0 {
			return nil, errNative
		}
		value, err := nativeValue(dec, depth)
		if err != nil {
			return nil, err
		}
		doc = append(doc, bson.E{Key: nativeName(name), Value: value})
	}
	_, err := dec.Token()
	return doc, err
}

func nativeName(name string) string {
	if strings.ContainsAny(name, "$.") {
		return strings.NewReplacer("$", "\uFF04", ".", "\uFF0E").Replace(name)
	}
	return name
}

func nativeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxNativeDepth {
		return nil, errNative
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return nativeObject(dec, depth+1)
		}
		list := bson.A{}
		for dec.More() {
			value, err := nativeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := dec.Token()
		return list, err
	case json.Number:
		return nativeNumber(token.String()), nil
	default:
		return token, nil // string, bool, nil
	}
}

// nativeNumber keeps a number exactly, its trailing zeros too.
func nativeNumber(text string) any {
	if !strings.ContainsAny(text, ".eE") && text != "-0" {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	if d, ok := exactDecimal(text); ok {
		return d
	}
	return text
}

// exactDecimal returns the Decimal128 with the same digits and exponent.
// https://www.mongodb.com/docs/manual/reference/bson-types/ names 34 digits.
func exactDecimal(text string) (bson.Decimal128, bool) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	exp := 0
	if scientific {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > math.MaxInt16 || n < math.MinInt16 {
			return bson.Decimal128{}, false
		}
		exp = n
	}
	exp -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	if len(digits) > 34 || exp < -6176 || exp > 6111 {
		return bson.Decimal128{}, false // the driver would round or clamp
	}
	d, err := bson.ParseDecimal128(text)
	if err != nil || d.IsNaN() || d.IsInf() != 0 {
		return bson.Decimal128{}, false
	}
	if _, e, err := d.BigInt(); err != nil || e != exp {
		return bson.Decimal128{}, false
	}
	return d, true
}

// stampNative writes a version's stamps into a native document whose meta begins
// with them.
func stampNative(doc bson.D, versionID, lastUpdated string) {
	for _, e := range doc {
		if meta, ok := e.Value.(bson.D); e.Key == "meta" && ok && len(meta) >= 2 {
			meta[0].Value, meta[1].Value = versionID, lastUpdated
			return
		}
	}
}
