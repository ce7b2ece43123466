"""What a Next.js application's configuration, folders and sources say."""

from __future__ import annotations

import re
from typing import Any

from taskflow_containers.adopt.evaluate import Function, call, default
from taskflow_containers.adopt.findings import (
    Finding,
    Next,
    Route,
    guessed,
    read,
    unknown,
)
from taskflow_containers.adopt.javascript import MISSING, Object, Script, Unknown, lookup, plain
from taskflow_containers.adopt.repository import Repository, join, normal, parent
from taskflow_containers.adopt.routes import is_health

CONFIGURATIONS = (
    "next.config.js",
    "next.config.mjs",
    "next.config.ts",
    "next.config.mts",
    "next.config.cjs",
)
_OPTIONS = (
    "images",
    "i18n",
    "trailingSlash",
    "assetPrefix",
    "transpilePackages",
    "outputFileTracingRoot",
    "serverExternalPackages",
    "cacheHandler",
    "skipTrailingSlashRedirect",
    "pageExtensions",
    "experimental",
    "env",
)
_PAGE = (".tsx", ".ts", ".jsx", ".js", ".mdx")


def scripts(repository: Repository) -> Any:
    """A function that gives the script of a relative import, or None: each is parsed once."""
    known: dict[str, Script | None] = {}

    def load(importer: str, source: str) -> Script | None:
        if not source.startswith("."):
            return None
        path = normal(join(parent(importer), source))
        for name in (
            path,
            *(path + end for end in (".js", ".mjs", ".ts", ".cjs", "/index.js", "/index.ts")),
        ):
            if repository.has(name) and name.endswith(("js", "ts")):
                if name not in known:
                    known[name] = None
                    known[name] = Script(repository.text(name), name, load)
                return known[name]
        return None

    return load


def configuration(repository: Repository, folder: str, version: Finding[str]) -> Next:
    """The evaluated configuration of the application in a folder."""
    router = _router(repository, folder)
    path = repository.first(folder, *CONFIGURATIONS)
    if not path:
        return Next(version, router)
    load = scripts(repository)
    script = load(path, "./" + path.rsplit("/", 1)[-1])
    if script is None:
        return Next(version, router)
    if place := script.error():
        repository.say("fault", "cannot be parsed: not valid JavaScript or TypeScript here", place)
    value = default(script)
    for _ in range(3):  # a function may give back a wrapper's function
        if isinstance(value, Function):
            value = call(
                value, ["phase-production-build", Object({"defaultConfig": (Object(), "")})]
            )
    if not isinstance(value, Object) and not (isinstance(value, Unknown) and value.candidates):
        value = Unknown()

    def one(key: str, usual: Any) -> Finding[Any]:
        found, where = lookup(value, key)
        if found is MISSING or found is None:
            return read(usual, path + ":1")
        if isinstance(found, Unknown):
            seen = tuple(dict.fromkeys(c for c in found.candidates if isinstance(c, str)))
            return unknown(usual, seen, where or path + ":1")
        return read(plain(found), where)

    options = {
        key: one(key, None) for key in _OPTIONS if lookup(value, key)[0] not in (MISSING, None)
    }
    return Next(
        version,
        router,
        output=one("output", ""),
        base_path=one("basePath", ""),
        dist_dir=one("distDir", ".next"),
        rewrites=_rewrites(value),
        options={key: found for key, found in options.items() if found.value is not None},
    )


def _rewrites(value: Any) -> tuple[Finding[tuple[str, str]], ...]:
    """The pairs of source and destination that rewrites() returns."""
    function, place = lookup(value, "rewrites")
    if not isinstance(function, Function):
        return ()
    returned = call(function, [])
    lists = returned if isinstance(returned, list) else []
    if isinstance(returned, Object):
        lists = [
            one for part, _ in returned.items.values() if isinstance(part, list) for one in part
        ]
    found = []
    for one in lists:
        source, where = lookup(one, "source")
        target, _ = lookup(one, "destination")
        pair = (
            source if isinstance(source, str) else "",
            target if isinstance(target, str) else "",
        )
        found.append(read(pair, where) if all(pair) else unknown(pair, (), where or place))
    return tuple(found) or (unknown(("", ""), (), place),)


def _router(repository: Repository, folder: str) -> Finding[str]:
    found = {}
    for name in ("app", "pages"):
        for above in ("", "src/"):
            start = join(folder, above + name) + "/"
            pages = (
                p
                for p in repository.files
                if p.startswith(start)
                and p.endswith(_PAGE)
                and (
                    name == "pages"
                    or p.rsplit("/", 1)[-1].split(".")[0] in {"page", "route", "layout"}
                )
            )
            if (first := next(pages, "")) and name not in found:
                found[name] = first + ":1"
    if not found:
        return guessed("")
    return read("both" if len(found) == 2 else next(iter(found)), next(iter(found.values())))


def health(repository: Repository, folder: str, base_path: str) -> tuple[Route, ...]:
    """Route handlers and API pages whose address is one of health."""
    found = []
    for path in repository.below(folder, "/route.ts", "/route.js", ".ts", ".js", ".tsx"):
        below = path.removeprefix("" if folder == "." else folder + "/").removeprefix("src/")
        if match := re.fullmatch(r"app/(.+)/route\.[jt]sx?", below):
            parts = [p for p in match[1].split("/") if not re.fullmatch(r"\(.*\)|@.*", p)]
        elif match := re.fullmatch(r"pages/(api/.+?)(?:/index)?\.[jt]sx?", below):
            parts = match[1].split("/")
        else:
            continue
        if parts and is_health(parts[-1]):
            found.append(Route(f"{base_path}/{'/'.join(parts)}", path + ":1"))
    return tuple(found)
