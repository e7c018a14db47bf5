"""What the path is, as data: timers, layers, topology, presets. Pure; no I/O but reading a file."""
