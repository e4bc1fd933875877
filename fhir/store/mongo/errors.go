package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// The labels that the driver and the server put on errors.
const (
	labelTransient     = "TransientTransactionError"
	labelUnknownCommit = "UnknownTransactionCommitResult"
)

// codes says what errors of the server mean to a caller. Only codes count: their
// texts differ between versions.
//
// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
var codes = []struct {
	kind  fhir.Kind
	text  string
	codes []int
}{
	{fhir.Unavailable, "the database refuses the user or password of the URI, or gives that user no right to do this", []int{13, 18, 8000, 31}},
	{fhir.Unavailable, "the disk of the database is full", []int{14031}},
	{fhir.Timeout, "the request ran out of time", []int{50, 262, 202}},
	{fhir.TooLarge, "this is more than one transaction of the database can hold; send it in parts", []int{257, 290, 388, 10334, 17280}},
	{fhir.TooCostly, "the search needs more memory than the database gives it; narrow it", []int{292, 16819, 16820}},
	{fhir.Unavailable, "the database cannot be written to at the moment: it has no primary, or is shutting down", noPrimary},
	{fhir.Unavailable, "the database ended this, or takes no more at the moment; try again", []int{43, 175, 206, 237, 239, 249, 250, 267, 272, 355, 365, 433, 449, 11601}},
	{fhir.Unavailable, "the database cannot confirm writes to a majority of its nodes", []int{64, 79, 100}},
	{fhir.Unavailable, "too many writes want the same at once; try again", []int{112, 24, 46, 246, 251, 225}},
}

// noPrimary are the codes of a replica set, or a shard of a cluster, that has no
// primary for now: it elects one, or its nodes shut down.
var noPrimary = []int{6, 7, 63, 89, 91, 133, 134, 150, 189, 234, 281, 317, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436}

// fault turns an error of the driver's, or of the context, into ours.
func fault(ctx context.Context, err error, doing string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return store.Cancelled(ctx)
	}
	var known *fhir.Error
	if errors.As(err, &known) {
		return err
	}
	if hasLabel(err, labelUnknownCommit) {
		return fhir.Wrap(fhir.Unavailable, err, "%s: the database did not confirm in time; it may have happened: look before trying again", doing)
	}
	for _, row := range codes {
		for _, code := range row.codes {
			if hasCode(err, code) {
				return fhir.Wrap(row.kind, err, "%s: %s", doing, row.text)
			}
		}
	}
	switch {
	case errors.Is(err, mongo.ErrClientDisconnected):
		return fhir.Errorf(fhir.Unavailable, "the store is closed")
	case isUnreachable(err):
		return fhir.Wrap(fhir.Unavailable, err, "%s: the database cannot be reached", doing)
	case mongo.IsTimeout(err):
		return fhir.Wrap(fhir.Timeout, err, "%s: the database did not answer in time", doing)
	}
	return fhir.Wrap(fhir.Internal, err, "%s", doing)
}

// hasLabel reports whether an error has a label.
func hasLabel(err error, label string) bool {
	var labelled mongo.LabeledError
	return errors.As(err, &labelled) && labelled.HasErrorLabel(label)
}

// isUnreachable reports whether no server could be talked to.
func isUnreachable(err error) bool {
	var selection topology.ServerSelectionError
	var connection topology.ConnectionError
	return errors.As(err, &selection) || errors.As(err, &connection) || mongo.IsNetworkError(err)
}

// isUnselectable reports whether there was no server to talk to for as long as
// serverSelectionTimeoutMS. An election mostly takes less, so who asks should
// hear of it rather than wait for the end of the request.
func isUnselectable(err error) bool {
	var selection topology.ServerSelectionError
	return errors.As(err, &selection)
}

// hasCode reports whether an error of the server has a code. While a connection
// is made the driver wraps its own kind of error.
func hasCode(err error, code int) bool {
	var answer mongo.ServerError
	if errors.As(err, &answer) && answer.HasErrorCode(code) {
		return true
	}
	var inner driver.Error
	return errors.As(err, &inner) && int(inner.Code) == code
}
