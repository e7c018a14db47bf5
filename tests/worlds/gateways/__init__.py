"""Real gateways between two `whocut tap` processes, with the truth about each request known beforehand."""
