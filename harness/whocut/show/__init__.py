"""What a terminal shows: progress, and at the end the figures in words. One file a command."""
