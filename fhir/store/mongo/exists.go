package mongo

import "context"

// Exists reports whether the database that a URI names holds a store. Open would
// make one.
func Exists(ctx context.Context, uri string, opts Options) (bool, error) {
	opts.fill()
	s := &Store{opts: opts, log: opts.Logger}
	var err error
	if s.codec, err = newCodec(); err != nil {
		return false, err
	}
	if err := s.connect(uri); err != nil {
		s.codec.close()
		return false, err
	}
	defer s.disconnect()
	if err := s.findServer(ctx); err != nil {
		return false, err
	}
	there, err := s.readSetUp(ctx)
	if err != nil {
		return false, fault(ctx, err, "looking at the database")
	}
	return there, nil
}
