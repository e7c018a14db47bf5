"""The retry contract: its checks as data, a client held to them on a stage, and the score card."""
