"""The documentation of the template, and what writes its reference."""
