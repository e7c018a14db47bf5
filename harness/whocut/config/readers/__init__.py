"""One file a format; each registers itself, and is found because it is here."""
