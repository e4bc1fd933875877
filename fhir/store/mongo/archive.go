package mongo

// copyPlace is how far a copy into this store is.
type copyPlace struct {
	Updated int64  `bson:"updated"`
	Type    string `bson:"type"`
	ID      string `bson:"id"`
	Version int64  `bson:"version"`
}
