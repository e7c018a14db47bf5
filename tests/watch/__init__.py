"""The judge that is always on."""
