"""What this tool is: its version, and where it was installed from."""

from __future__ import annotations

import json
import re
from importlib import metadata
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ConfigDict

DISTRIBUTION = "taskflow-containers"


class Tool(BaseModel):
    """An installation of the tool: its version and, where they are known, source and full commit.

    `folder` says that it runs from a folder as it lies there, not from what was installed of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    commit: str = ""
    source: str = ""
    folder: bool = False

    @classmethod
    def running(cls) -> Tool:
        """This one, by what pip or uv wrote down when it was installed (PEP 610)."""
        try:
            found = metadata.distribution(DISTRIBUTION)
        except metadata.PackageNotFoundError:  # a copy of the sources on PYTHONPATH
            return cls(version="unknown", folder=True)
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        return cls(
            version=found.version,
            commit=origin.get("vcs_info", {}).get("commit_id", ""),
            # A login is nobody's business, but for the user name that every SSH address has.
            source=re.sub(r"(?<=://)(?!git@)[^/\s@]+@", "", origin.get("url", "")),
            folder="dir_info" in origin,
        )

    def __str__(self) -> str:
        return f"{DISTRIBUTION} {self.version}" + f" (commit {self.commit})" * bool(self.commit)

    @property
    def requirement(self) -> str:
        """What pip and uv install this very tool from; empty where that is not known."""
        if self.commit:
            return f"{DISTRIBUTION} @ git+{self.source}@{self.commit}"
        if self.source.startswith("file:"):
            return url2pathname(urlsplit(self.source).path)
        return self.source or f"{DISTRIBUTION}=={self.version}" * (self.version[:1].isdigit())
