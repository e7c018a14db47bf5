"""The judge that is always on: spans and lines of logs in, verdicts and metrics out."""
