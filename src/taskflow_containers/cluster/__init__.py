"""The chart on a real Kubernetes."""
