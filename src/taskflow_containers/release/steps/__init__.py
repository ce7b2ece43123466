"""The steps of a release, in the order of what they touch."""
