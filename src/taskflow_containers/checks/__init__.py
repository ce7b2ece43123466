"""What the sessions lint, build, scan and chart judge."""
