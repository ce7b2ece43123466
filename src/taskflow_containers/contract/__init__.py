"""taskflow.toml against what is written: Dockerfile, compose file, image configuration, manifests."""
