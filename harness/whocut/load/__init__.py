"""Who asks, and when: Locust files. The only importer of Locust, in a process of its own."""
