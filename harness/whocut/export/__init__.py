"""A run's attempts and verdicts in the forms of other programs: tables, metrics, test reports, annotations."""
