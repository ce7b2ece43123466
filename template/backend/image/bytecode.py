"""Compiles while the image is built what would be compiled at every start under a read-only root.

`packages ENVIRONMENT` compiles a virtual environment, and of the standard library what its packages import;
`source FOLDER` compiles the service's own code, which keeps its docstrings and assertions.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
import py_compile
import shutil
import sys
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

CACHE = Path("/root/.cache/compiled")
STANDARD_LIBRARY = sysconfig.get_path("stdlib")
# What a service imports only when it serves.
ON_DEMAND = ["concurrent.futures.thread", "encodings.idna", "importlib.metadata._adapters"]


def compile_file(source: Path, optimize: int = -1) -> None:
    """Write a module's bytecode, valid whatever becomes of the times of files in an image."""
    target = Path(importlib.util.cache_from_source(str(source)))
    content = source.read_bytes()
    kept = CACHE / hashlib.sha256(f"{target} {sys.version}".encode() + content).hexdigest()
    target.parent.mkdir(exist_ok=True)
    if kept.exists():
        shutil.copyfile(kept, target)
        return
    if target.exists():  # Importing wrote it, with the time of its source: put the hash there (PEP 552).
        code = target.read_bytes()
        target.write_bytes(code[:4] + b"\1\0\0\0" + importlib.util.source_hash(content) + code[16:])
    else:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        try:
            py_compile.compile(str(source), str(target), doraise=True, optimize=optimize, invalidation_mode=mode)
        except py_compile.PyCompileError as error:  # Some packages carry files for other versions of Python.
            print(f"not compiled: {error.msg.strip()}")
            return
    if CACHE.is_mount():  # Only where the builder mounts one: it must not end up in the image.
        shutil.copyfile(target, kept)


def imported(packages: Path) -> list[Path]:
    """Import every package and name the files of the standard library this took."""
    sys.dont_write_bytecode = False
    for name in [module.name for module in pkgutil.iter_modules([str(packages)])] + ON_DEMAND:
        with suppress(Exception, SystemExit):  # One that cannot be imported here is compiled all the same.
            importlib.import_module(name)
    origins = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    return [
        Path(origin)
        for origin in origins
        if origin.endswith(".py") and origin.startswith(STANDARD_LIBRARY) and "-packages" not in origin
    ]


def compile_packages(environment: Path) -> None:
    """Compile an environment's packages, then what they import; what they imported last time goes along at once."""
    sources = list(environment.rglob("*.py"))
    last_time = CACHE / "imported"
    if last_time.exists():
        sources += [path for path in map(Path, last_time.read_text().splitlines()) if path.exists()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(compile_file, sources, chunksize=16))
    library = [path for packages in environment.glob("lib/python*/site-packages") for path in imported(packages)]
    for source in library:
        compile_file(source)
    if CACHE.is_dir():
        last_time.write_text("\n".join(map(str, library)))


def main(what: str, folder: Path) -> None:
    if what == "packages":
        compile_packages(folder)
    else:
        for source in folder.rglob("*.py"):
            compile_file(source, optimize=0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
