"""Is this chain right? Audit, forecast, and the proof in virtual time, with callers that stand in for a load."""
