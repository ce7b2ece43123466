"""An application of the gallery: what its `gallery.toml` declares and the files a person adds."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GALLERY = Path(__file__).parent
DECLARATION = "gallery.toml"


@dataclass(frozen=True, slots=True)
class Edit:
    """What an owner changes in a file of the rendered project; `both` in the reference as well."""

    file: str
    old: str
    new: str
    both: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request that both images are asked, and what of the answers must be the same.

    Status and body always are; `headers` names those of the answer that must be, too. `find`
    compares these patterns' matches instead of the body, `mask` takes matches out of it. `status`
    is the reference's, so that two images that both fail are no success.
    """

    path: str
    method: str = "GET"
    status: int = 200
    send: Mapping[str, str] = field(default_factory=dict)  # headers of the request
    json: Any = None
    fields: Mapping[str, str] = field(default_factory=dict)  # of a form
    files: Mapping[str, str] = field(default_factory=dict)  # of a form: name → file
    size: Mapping[str, int] = field(default_factory=dict)  # of a form: name → bytes of a file
    linked: str = ""  # not the page's own body, but those of the paths that this finds in it
    form_of: str = ""  # the page whose hidden fields are sent along
    websocket: Sequence[str] = ()  # what is said, each answered once
    headers: Sequence[str] = ()
    find: Sequence[str] = ()
    mask: Sequence[str] = ()
    pieces: bool = False  # the body comes in more than one
    changes: bool = False  # the body is another one a while later
    replica: bool = False  # asked of a second container of the image


@dataclass(frozen=True, slots=True)
class Command:
    """A program of the same image: one that ends and `says` this, or one that runs when `ready`."""

    run: Sequence[str]
    name: str = ""
    says: str = ""
    ready: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A fault for which the reference does not build or start, and the words that name it.

    It is `add`ed to a `file` (or is the whole of a new one), or a variable is left out (`without`).
    """

    what: str
    says: str
    file: str = ""
    add: str = ""
    without: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """One folder of the gallery.

    `add` are lines at the end of the backend's main.py, or what replaces `export default config;`
    of next.config.ts; `line` is the file that a line is added to where a rebuild is measured; `unjudged`
    are the checks of the smoke test whose outcome is the application's own affair.
    """

    name: str
    about: str
    kind: str
    line: str
    load: str
    packages: Sequence[str] = ()
    development: Sequence[str] = ()
    imports: Sequence[str] = ()
    add: str = ""
    head: str = ""
    database: bool = False
    ci: bool = False
    unjudged: Sequence[str] = ()
    logs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    edits: Sequence[Edit] = ()
    before: Sequence[Command] = ()
    processes: Sequence[Command] = ()
    requests: Sequence[Request] = ()
    refused: Sequence[Refused] = ()

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return GALLERY / self.name

    @property
    def files(self) -> list[Path]:
        """What a person adds, relative to the container's folder."""
        inside = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        used = {name for request in self.requests for name in request.files.values()}
        return sorted(
            path
            for path in inside
            if (self.folder / path).is_file()
            and "__pycache__" not in path.parts
            and str(path) not in {DECLARATION, *used}
        )


_PARTS = {
    "edits": Edit, "before": Command, "processes": Command, "requests": Request, "refused": Refused,
}  # fmt: skip


@functools.cache
def load(name: str) -> Application:
    """Read one declaration.

    Raises:
        TypeError: it holds a key that nobody knows, or lacks one.
    """
    given = tomllib.loads((GALLERY / name / DECLARATION).read_text(encoding="utf-8"))
    for key, kind in _PARTS.items():
        given[key] = [kind(**entry) for entry in given.get(key, ())]
    return Application(name=name, **given)


def names() -> list[str]:
    """Every application of the gallery."""
    return sorted(path.parent.name for path in GALLERY.glob(f"*/{DECLARATION}"))
