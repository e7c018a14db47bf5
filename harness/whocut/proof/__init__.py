"""Is this chain right? Audit, forecast, and the proof in virtual time, with callers in place of a load."""
