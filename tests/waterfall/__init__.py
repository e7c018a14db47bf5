"""Drawings of one request."""
