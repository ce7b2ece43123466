"""Adopt an application that exists: look at its repository without changing or running it."""
