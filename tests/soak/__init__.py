"""Two hours of load on the real clock: what grows, what stays open, what cannot be read, what is paid too much."""
