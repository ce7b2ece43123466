"""This machine: processes, files, time, and errors in words."""
