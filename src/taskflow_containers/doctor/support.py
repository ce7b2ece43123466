"""Until when base images get security fixes, by the names in their tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

# The last day of security support for free, as the publishers state it (looked up in November 2026):
# devguide.python.org/versions, github.com/nodejs/Release, alpinelinux.org/releases,
# wiki.debian.org/LTS, postgresql.org/support/versioning. What is not named here is not judged.
ENDS = {
    "python": {"3.9": date(2025, 10, 31), "3.10": date(2026, 10, 31), "3.11": date(2027, 10, 31),
               "3.12": date(2028, 10, 31), "3.13": date(2029, 10, 31), "3.14": date(2030, 10, 31)},
    "node": {"18": date(2025, 4, 30), "20": date(2026, 4, 30), "22": date(2027, 4, 30),
             "24": date(2028, 4, 30), "26": date(2029, 4, 30)},
    "postgres": {"13": date(2025, 11, 13), "14": date(2026, 11, 12), "15": date(2027, 11, 11),
                 "16": date(2028, 11, 9), "17": date(2029, 11, 8), "18": date(2030, 11, 14)},
    "alpine": {"3.20": date(2026, 4, 1), "3.21": date(2026, 11, 1), "3.22": date(2027, 5, 1),
               "3.23": date(2027, 11, 1)},
    "debian": {"bullseye": date(2026, 8, 31), "bookworm": date(2028, 6, 30), "trixie": date(2030, 6, 30)},
}  # fmt: skip


def ends(image: str) -> Iterator[tuple[str, date]]:
    """What an image's name says it is made of, and the end of each: `python 3.13`, `debian trixie`."""
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    main, *variant = tag.split("-")
    versions = [(name, version) for version in re.findall(r"^(\d+\.\d+|\d+)", main)]
    versions += [(name, main.split(".")[0])]
    for word in variant:
        versions += [("alpine", word.removeprefix("alpine")), ("debian", word)]
    for product, version in dict.fromkeys(versions):
        if end := ENDS.get(product, {}).get(version):
            yield f"{product} {version}", end
