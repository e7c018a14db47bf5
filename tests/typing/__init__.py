"""What mypy alone runs: the public face as its users write it."""
