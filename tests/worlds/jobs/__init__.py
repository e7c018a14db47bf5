"""Random worlds whose requests are jobs: submits, polls and callbacks through random chains to the mock."""
