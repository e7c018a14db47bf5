"""Random worlds: chains, timers, faults and impatient callers, whose truth attribution must find without help."""
