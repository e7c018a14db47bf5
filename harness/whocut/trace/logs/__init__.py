"""Gateways' own logs, read into plain accounts: one file a format, each a table of what its codes mean."""
