"""From what was written down to the layer that cut. Reads plain data only: no sockets, no SDK, no clock."""
