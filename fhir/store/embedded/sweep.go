package embedded

import (
	"time"
)

// maintain looks after the disk and sweeps until the store is closed.
func (s *Store) maintain() {
	defer s.workers.Done()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-look.C:
			s.disk.look()
		}
	}
}
