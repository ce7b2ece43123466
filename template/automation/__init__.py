"""Lint, build, scan and smoke-test the containers that taskflow.toml describes."""
