"""Docker and Podman behind one seam, and what they build and keep."""
