"""Writing down what happened: plain records, spans, the run directory."""
