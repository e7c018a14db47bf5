"""The backends that traces are fetched from, one file each: a file that defines `BACKEND` is known by its name."""
