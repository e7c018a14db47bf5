"""A run is ended by kill -9 at any instant: what it leaves is readable, and no money is lost from sight."""
