"""Real products as layers: started from a layer's limits on the loopback, one file each.

A hop emulates a product, a gateway is one. `start_gateway` gives it the same limits, in milliseconds of real time.
So a verdict can be held against what the product itself does.
"""

from whocut.path.gateways.start import GATEWAYS, start_gateway

__all__ = ["GATEWAYS", "start_gateway"]
