"""Writes what is installed in a virtual environment as CycloneDX, for scanners of the image.

The same packages give the same document.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote


def component(found: Distribution) -> dict[str, Any]:
    """A distribution as CycloneDX names it."""
    name = re.sub(r"[-_.]+", "-", found.name).lower()
    purl = f"pkg:pypi/{name}@{quote(found.version, safe='')}"
    about: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": found.version}
    if expression := found.metadata.get("License-Expression"):
        about["licenses"] = [{"expression": expression}]
    return {**about, "purl": purl}


def main(environment: Path) -> None:
    """Print the document of a virtual environment."""
    folders = sorted(str(path) for path in environment.glob("lib*/python*/site-packages"))
    whole = (one for one in distributions(path=folders) if one.metadata["Name"])
    found = {one["purl"]: one for one in map(component, whole)}
    components = [found[purl] for purl in sorted(found)]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    print(json.dumps({**document, "components": components}, separators=(",", ":")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
