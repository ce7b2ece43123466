"""Smoke-test the images: run them as the cluster will, inject faults, hold them to their budgets."""

from automation.smoke.catalogue import CHECKS, GROUPS, Check, select
from automation.smoke.lab import Options
from automation.smoke.runner import smoke

__all__ = ["CHECKS", "GROUPS", "Check", "Options", "select", "smoke"]
