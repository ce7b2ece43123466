"""What taskflow.toml says, read once into typed objects."""

FILE_NAME = "taskflow.toml"
