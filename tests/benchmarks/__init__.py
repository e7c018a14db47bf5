"""Benchmarks: ratios against a named peer in the same run, never an absolute time. Not part of the tests."""
