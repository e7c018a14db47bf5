"""What time is: real, scaled, virtual. The only room that reads a clock.

Model seconds everywhere: what a user, a vendor or an article means by "60 s". A scaled clock lets N of them
pass in each real second; a virtual one lets none pass while there is work and all of them when there is not.
"""

from whocut.clock.clock import Clock, ClockSpec, parse_clock
from whocut.clock.loops import new_loop, run_real
from whocut.clock.virtual import Outside, VirtualLoop, run_virtual

__all__ = [
    "Clock",
    "ClockSpec",
    "Outside",
    "VirtualLoop",
    "new_loop",
    "parse_clock",
    "run_real",
    "run_virtual",
]
