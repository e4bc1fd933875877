package mongo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// The collections.
const (
	resourcesName = "resources"
	historyName   = "history"
	metaName      = "meta"
)

// resourceDoc is a document of resources.
type resourceDoc struct {
	Key      string    `bson:"_id"`
	Type     string    `bson:"type"`
	ID       string    `bson:"id"`
	Version  int64     `bson:"version"`
	T        int64     `bson:"t"`
	Updated  time.Time `bson:"updated"`
	Method   string    `bson:"method"`
	Deleted  bool      `bson:"deleted,omitempty"`
	Size     int64     `bson:"size"`
	Raw      []byte    `bson:"raw,omitempty"`
	Resource bson.D    `bson:"resource,omitempty"`
	Patient  string    `bson:"patient,omitempty"`
	Patients []string  `bson:"patients,omitempty"`
	IX       []string  `bson:"ix,omitempty"`
}

// versionDoc is a document of history.
type versionDoc struct {
	VID      string    `bson:"_id"`
	Key      string    `bson:"key"`
	Type     string    `bson:"type"`
	ID       string    `bson:"id"`
	Version  int64     `bson:"version"`
	T        int64     `bson:"t"`
	Updated  time.Time `bson:"updated"`
	Method   string    `bson:"method"`
	Size     int64     `bson:"size"`
	Raw      []byte    `bson:"raw,omitempty"`
	Patients []string  `bson:"patients,omitempty"`

	// Up to which version all before this one were erased, if they were.
	Erased int64 `bson:"erased,omitempty"`
	// Of a version that was replaced: the logical time and time of that.
	To    int64      `bson:"to,omitempty"`
	Ended *time.Time `bson:"ended,omitempty"`
	// Its index entries, as long as a page sequence may need them.
	IX []string `bson:"ix,omitempty"`
}

// servedFields are what a version is served from.
var servedFields = bson.D{
	{Key: "key", Value: 1},
	{Key: "type", Value: 1},
	{Key: "id", Value: 1},
	{Key: "version", Value: 1},
	{Key: "t", Value: 1},
	{Key: "updated", Value: 1},
	{Key: "method", Value: 1},
	{Key: "raw", Value: 1},
	{Key: "patients", Value: 1},
	{Key: "to", Value: 1},
	{Key: "erased", Value: 1},
}

// versionID is the _id of a version in history.
func versionID(key string, version int64) string {
	return key + "/" + strconv.FormatInt(version, 10)
}

// zstd is used without state, so one of each serves everybody in a store.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return codec{}, err
	}
	// Bounded, since somebody may have edited a document by hand.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(2*store.MaxResourceBytes))
	return codec{enc, dec}, err
}

func (c codec) close() {
	c.dec.Close()
	_ = c.enc.Close() // nothing is pending: only EncodeAll is used
}

func (c codec) pack(json []byte) []byte { return c.enc.EncodeAll(json, nil) }

func (c codec) unpack(raw []byte) ([]byte, error) { return c.dec.DecodeAll(raw, nil) }

// errDocument is the cause of errors about documents that are not as this
// program writes them. Somebody edited them, or a disk did.
var errDocument = errors.New("a document is not as the store writes it")

// damaged makes the error of a document that cannot be used. The key is for the
// log alone.
func damaged(collection string, key any, err error) error {
	return fhir.Wrap(fhir.Internal, fmt.Errorf("%w: %s %v: %w", errDocument, collection, key, err), "a stored document cannot be read")
}

// resource returns the version a document of history holds.
func (s *Store) resource(d *versionDoc) (*fhir.Resource, error) {
	key, err := fhir.ParseKey(d.Type, d.ID)
	if err != nil {
		return nil, err
	}
	res := &fhir.Resource{Key: key, Version: d.Version, Updated: d.Updated.UTC(), Method: fhir.Method(d.Method), Patients: d.Patients}
	switch {
	case res.Deleted():
		return res, nil
	case len(d.Raw) == 0:
		return nil, errors.New("raw is missing")
	}
	if res.JSON, err = s.codec.unpack(d.Raw); err != nil {
		return nil, fmt.Errorf("raw: %w", err)
	}
	return res, nil
}

// version decodes a document of history and checks that it is what its _id says.
func (s *Store) version(raw bson.Raw) (*fhir.Resource, error) {
	var d versionDoc
	id, _ := raw.Lookup("_id").StringValueOK()
	if err := bson.Unmarshal(raw, &d); err != nil {
		return nil, damaged(historyName, id, err)
	}
	if d.VID != versionID(d.Type+"/"+d.ID, d.Version) {
		return nil, damaged(historyName, id, errors.New("type, id or version are not those of its _id"))
	}
	res, err := s.resource(&d)
	if err != nil {
		return nil, damaged(historyName, id, err)
	}
	return res, nil
}

// newest decodes a document of resources.
func (s *Store) newest(raw bson.Raw) (*fhir.Resource, error) {
	var d resourceDoc
	id, _ := raw.Lookup("_id").StringValueOK()
	if err := bson.Unmarshal(raw, &d); err != nil {
		return nil, damaged(resourcesName, id, err)
	}
	if d.Key != d.Type+"/"+d.ID || d.Version < 1 {
		return nil, damaged(resourcesName, id, errors.New("type, id or version are not those of its _id"))
	}
	res, err := s.resource(&versionDoc{
		Type: d.Type, ID: d.ID, Version: d.Version, Updated: d.Updated, Method: d.Method, Raw: d.Raw, Patients: d.Patients,
	})
	if err != nil {
		return nil, damaged(resourcesName, id, err)
	}
	return res, nil
}

// splitKey takes "Patient/1" apart.
func splitKey(key string) (typ, id string) {
	typ, id, _ = strings.Cut(key, "/")
	return typ, id
}

var errMissing = errors.New("it is missing")
