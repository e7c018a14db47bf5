"""Jobs whose service, mock and receiver are killed at random instants, and what each was found to hold."""
