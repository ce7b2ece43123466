"""`invoke doctor`: look at machine and project, and print what to mend, each with its command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from taskflow_containers.doctor import machine, project
from taskflow_containers.doctor.finding import Finding, Look
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import ExitCode, TaskflowError
from taskflow_containers.machine.process import masked
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.pin import answers_file

PARTS = {"this machine": machine.LOOKS, "this project": project.LOOKS}


def doctor(root: Path, options: argparse.Namespace) -> int:
    """Print the findings; CHECK_FAILED where one of them is not optional."""
    looked = PARTS
    if not any((root / name).exists() for name in (FILE_NAME, answers_file(root))):
        looked = PARTS | {"this project": (project.model,)}  # which says that there is none here
    looks = [look for part in looked.values() for look in part]
    with interruption.pool(len(looks)) as pool:
        found = dict(zip(looks, pool.map(lambda look: _findings(look, root), looks), strict=True))
    parts = {name: [one for look in part for one in found[look]] for name, part in looked.items()}
    if options.json:
        print(
            json.dumps(
                {name: [asdict(one) for one in part] for name, part in parts.items()}, indent=2
            )
        )
    else:
        print("\n".join(_lines(parts.items())))
    wrong = any(not one.optional for part in parts.values() for one in part)
    return ExitCode.CHECK_FAILED if wrong else ExitCode.OK


def _findings(look: Look, root: Path) -> list[Finding]:
    """What one look finds; where a half-broken project stops it, that is what it says."""
    try:
        return [*look(root)]
    except Exception as error:
        said = (
            error.message
            if isinstance(error, TaskflowError)
            else f"{type(error).__name__}: {error}"
        )
        return [
            Finding(f"could not be looked at: {masked(said)}", look.__name__,
                    "mend what else is said here, then ask again", optional=True)
        ]  # fmt: skip


def _lines(parts: Iterable[tuple[str, list[Finding]]]) -> Iterator[str]:
    count = {True: 0, False: 0}
    for name, findings in parts:
        yield f"{name}: " + ("" if findings else "nothing to do")
        for one in sorted(findings, key=lambda one: one.optional):
            count[one.optional] += 1
            yield f"  {'optional' if one.optional else 'wrong'}: {one.what}"
            yield f"    where: {one.where}"
            yield f"    to do: {one.mend}"
    if any(count.values()):
        yield f"{count[False]} to mend, {count[True]} optional"
