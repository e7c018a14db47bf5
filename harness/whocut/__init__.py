"""whocut: which layer cut the request?

The way of a request is the way through these rooms: `client` asks, `path` carries, `trace` writes down,
`verdict` reads. `chain` is the vocabulary they share and `clock` the one door through which time comes in.

What people ask for stands above them: `job` is the main job, `check` asks whether a chain is right, `contract`
whether a client behaves; `cli` and the pytest plugin are the doors, `show` is what a terminal says.
"""
