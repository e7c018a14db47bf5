"""Two runs, checks or sweeps beside each other: better, worse, or cannot tell. Starts nothing."""
