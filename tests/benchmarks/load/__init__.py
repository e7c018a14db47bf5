"""What `bench_load` puts under load: our scenario, and its peers' ways of asking for the same."""
