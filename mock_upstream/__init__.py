"""A stranger: an Images API that is slow, moderates, limits and bills."""
