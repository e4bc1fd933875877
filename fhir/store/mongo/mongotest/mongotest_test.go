package mongotest

import "testing"

func TestWithDatabase(t *testing.T) {
	for _, test := range []struct{ uri, want string }{
		{"mongodb://db", "mongodb://db/x"},
		{"mongodb://a:1,b:2/?replicaSet=rs0", "mongodb://a:1,b:2/x?replicaSet=rs0"},
		{"mongodb+srv://u:p@db/other?tls=true", "mongodb+srv://u:p@db/x?tls=true"},
	} {
		if got := WithDatabase(test.uri, "x"); got != test.want {
			t.Errorf("%s: %s, want %s", test.uri, got, test.want)
		}
	}
}
