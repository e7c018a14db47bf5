"""Traces out of a running backend: what is asked for, the door to it, and the way back into OTLP/JSON."""
