package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestExplainIsReadInEveryForm feeds answers as MongoDB gives them, shortened:
// of its classic engine, of its newer one, within a pipeline, of several shards,
// and one of another engine.
func TestExplainIsReadInEveryForm(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		stages       string
		looked       int64
	}{
		{
			"classic", `{"queryPlanner": {"parsedQuery": {"ix": {"$eq": "Smith"}}, "winningPlan": {"stage": "LIMIT", "limitAmount": 21, "inputStage": {"stage": "FETCH",
				"filter": {"ix": {"$eq": "Smith"}}, "inputStage": {"stage": "IXSCAN", "indexName": "ix", "indexBounds": {"ix": ["[\"Smith\", \"Smith\"]"]}}}},
				"rejectedPlans": [{"stage": "FETCH", "inputStage": {"stage": "COLLSCAN"}}]},
				"executionStats": {"nReturned": 3, "totalKeysExamined": 4, "totalDocsExamined": 3, "executionStages": {"stage": "LIMIT", "inputStage": {"stage": "FETCH"}}}}`,
			"LIMIT < FETCH < IXSCAN ix", 4,
		},
		{
			"newer engine in a pipeline", `{"stages": [{"$cursor": {"queryPlanner": {"winningPlan": {"queryPlan": {"stage": "FETCH", "inputStage": {"stage": "OR",
				"inputStages": [{"stage": "IXSCAN", "indexName": "ix"}, {"stage": "IXSCAN", "indexName": "_id_"}, {"stage": "IXSCAN", "indexName": "ix"}]}},
				"slotBasedPlan": {"stages": "[2] Smith"}}}, "executionStats": {"totalKeysExamined": {"$numberLong": "7"}, "totalDocsExamined": 9}}},
				{"$sort": {"sortKey": {"k0": 1}}}]}`,
			"FETCH < OR < [IXSCAN _id_, IXSCAN ix]", 9,
		},
		{
			"shards", `{"shards": {"a": {"queryPlanner": {"winningPlan": {"stage": "COLLSCAN"}}, "executionStats": {"totalKeysExamined": 0, "totalDocsExamined": 5}},
				"b": {"queryPlanner": {"winningPlan": {"stage": "COLLSCAN"}}, "executionStats": {"totalKeysExamined": 0, "totalDocsExamined": 6}}}}`,
			"COLLSCAN", 11,
		},
		{
			"merged shards", `{"queryPlanner": {"winningPlan": {"stage": "SHARD_MERGE", "shards": [{"shardName": "a", "winningPlan": {"stage": "EOF"}}, {"shardName": "b", "winningPlan": {"stage": "COLLSCAN"}}]}}}`,
			"SHARD_MERGE < [COLLSCAN, EOF]", -1,
		},
		{"another engine", `{"queryPlanner": {"Plan": {"Node Type": "Limit", "Plans": [{"Filter": "Smith"}]}}, "ok": 1}`, "", -1},
		{"nothing", `{}`, "", -1},
	} {
		var doc bson.D
		if err := bson.UnmarshalExtJSON([]byte(test.answer), false, &doc); err != nil {
			t.Fatal(err)
		}
		raw, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		got := readSaid(raw)
		text := ""
		if len(got.stages) > 0 {
			text = got.stages[0]
		}
		if len(got.stages) > 1 || text != test.stages || got.looked != test.looked {
			t.Errorf("%s: %q, %d looked at; want %q, %d", test.name, got.stages, got.looked, test.stages, test.looked)
		}
	}
}

// FuzzReadSaid feeds what no server should answer.
func FuzzReadSaid(f *testing.F) {
	f.Add([]byte{5, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, text []byte) {
		readSaid(text)
	})
}
