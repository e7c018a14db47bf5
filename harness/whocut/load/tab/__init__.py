"""The tab "Which layer cut" in Locust's own page: it shows what others have judged, and judges nothing."""
