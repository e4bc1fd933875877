package embedded

func (s *Store) rebuildIfStale() error { return nil }
