"""The documentation, held to what the commands do."""
