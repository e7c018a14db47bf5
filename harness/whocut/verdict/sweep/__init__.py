"""How much concurrency before the 429s: levels measured, the knee by its rule, and the answer."""
