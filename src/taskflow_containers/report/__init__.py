"""Results, and the writers over them."""

REPORTS = "reports"  # the folder that every command writes to
