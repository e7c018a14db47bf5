"""The bytes: the hop, its relay, and the ways in which vendors answer."""
