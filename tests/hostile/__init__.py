"""Hostile bytes for every door: an answer, or one sentence and an exit code; nothing hangs and nothing grows."""
