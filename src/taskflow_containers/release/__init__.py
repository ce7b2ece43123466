"""A version, planned and published as one: git, images and chart."""
