"""Readers of users' own files: what their gateways' configurations say of timers, as layers with file and line.

One file a format; each registers itself with the names and the looks of its files. A reader says what it has read,
what it could not read, and which routes there are; it guesses nothing in silence.
"""
