"""What the smoke test does to running containers, a module for each subject."""
