"""`invoke doctor`: what is missing or outdated on this machine and in this project."""
