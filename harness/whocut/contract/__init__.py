"""The retry contract: any client put before a chain, watched from outside, and held to its rules."""
