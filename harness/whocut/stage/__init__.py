"""Where a client is watched: a mock upstream and a chain behind a tap, in virtual, in-memory or scaled time."""
