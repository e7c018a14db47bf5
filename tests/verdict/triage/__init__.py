"""Triage: what is pasted, and what is answered."""
