"""One figure a file; each says what one mark is, how many there are, and what is missing."""
