"""Smoke-test the images: run them as the cluster will, inject faults, hold them to their budgets."""

from taskflow_containers.smoke.catalogue import CHECKS, GROUPS, Check, select
from taskflow_containers.smoke.lab import Options
from taskflow_containers.smoke.runner import smoke

__all__ = ["CHECKS", "GROUPS", "Check", "Options", "select", "smoke"]
