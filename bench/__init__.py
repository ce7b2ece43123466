"""Figures of the rendered project, as ratios to plain peers built and run in the same run."""
