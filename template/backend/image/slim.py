"""Makes a virtual environment smaller: what only compilers and debuggers read goes."""

import shutil
import struct
import sys
from pathlib import Path

# FastAPI loads Pydantic's old interface only to tell that nobody uses it, which takes 2 MB, and does well without.
UNUSED = ("tests", "__pycache__", "pydantic/v1")
SOURCES = {".c", ".h", ".pxd", ".pxi", ".pyi", ".pyx"}


def strip(path: Path) -> None:
    """Cut off what follows an ELF file's last loaded byte: its debug information, symbols and section table."""
    data = bytearray(path.read_bytes())
    if data[:6] != b"\x7fELF\x02\x01":  # 64 bits, little endian
        return
    (table,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    segments = [struct.unpack_from("<QQQQ", data, table + size * index + 8) for index in range(count)]
    end = max(offset + length for offset, _, _, length in segments)
    struct.pack_into("<Q", data, 0x28, 0)  # no section table,
    struct.pack_into("<HHH", data, 0x3A, 0, 0, 0)  # of no entries
    path.write_bytes(data[:end])


def main(environment: Path) -> None:
    for path in sorted(environment.rglob("*")):
        if path.is_dir() and path.as_posix().endswith(tuple(f"/{name}" for name in UNUSED)):
            shutil.rmtree(path)
        elif path.is_symlink() or not path.is_file():
            continue
        elif path.suffix in SOURCES:
            path.unlink()
        elif ".so" in path.suffixes:
            strip(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
