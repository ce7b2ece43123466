"""The documentation of the template, and what writes its reference."""

import re


def without_paths(text: str) -> str:
    """What a run says without where the engine's client is on this machine, which is nobody's concern."""
    return re.sub(r"\(/[^()]*/(docker|podman)\)", r"(\1)", text)
