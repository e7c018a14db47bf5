"""whocut: which layer cut the request?

The way of a request is the way through these rooms: `client` asks, `path` carries, `trace` writes down,
`verdict` reads. `chain` is the vocabulary they share and `clock` the one door through which time comes in.
"""
