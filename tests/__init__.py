"""The tests mirror the way of a request."""
