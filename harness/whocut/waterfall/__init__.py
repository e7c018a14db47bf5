"""One request drawn: its rows on a time axis, and the terminal that prints them."""
