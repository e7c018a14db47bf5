"""Real products standing as layers: started from a layer's limits on the loopback, one file each.

A hop emulates, a gateway is. `start_gateway` gives the same limits to the real one, in milliseconds of real
time, so that a verdict can be held against what the product itself does.
"""

from whocut.path.gateways.start import GATEWAYS, start_gateway

__all__ = ["GATEWAYS", "start_gateway"]
