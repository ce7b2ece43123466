"""Read taskflow.toml into the model, and say in plain words, with its line, what is wrong with it."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.entry import Entry
from taskflow_containers.project.files import tools_folder
from taskflow_containers.project.model import FORMAT, Project
from taskflow_containers.project.values import written


def load(path: Path) -> Project:
    """Read and check a taskflow.toml.

    Raises:
        InputError: the file is absent, unreadable, not TOML, of another format or not a valid model;
            with the line.
    """
    text = _read(path)
    hint = f"{tools_folder(path.parent)}/taskflow.schema.json says what each key may hold"
    try:
        data = tomllib.loads(text)
        _check_format(path, text, data.get("schema", FORMAT))
        return Project.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        number = int(where[1]) if where else len(text.rstrip("\n").split("\n"))
        raise InputError(f"{path.name}:{number}: not valid TOML: {error}", hint) from None
    except ValidationError as error:
        raise InputError(_explain(text, path, error.errors()), hint) from None
    except RecursionError:
        raise InputError(f"{path.name}: not valid TOML: nested too deeply", hint) from None
    except ValueError:  # Python converts no number of more than some thousand digits
        found = re.search(r"[0-9_]{1000,}", text)
        place = f":{text.count(chr(10), 0, found.start()) + 1}" if found else ""
        raise InputError(f"{path.name}{place}: a number has too many digits", hint) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path.name} is not here ({path.parent})", "run this in the project's top folder"
        ) from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path.name}:{number}: not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror}", "it must be a file that you may read"
        ) from None


def _check_format(path: Path, text: str, given: object) -> None:
    """Refuse a file of another format before anything else is said of it."""
    if type(given) is int and given == FORMAT:
        return
    place = f"{path.name}:{line_of(text, ['schema'])}: schema"
    if type(given) is int and given > FORMAT:
        raise InputError(
            f"{place}: this file has format {given}, and this tool reads format {FORMAT}",
            "run the tool that the project pins, through its own nox and invoke; `copier update` "
            "brings a project and its tool to one version",
        )
    raise InputError(
        f"{place}: {written(given)} is no format of this file", f"write schema = {FORMAT}"
    )


def schema() -> dict[str, Any]:
    """The JSON schema of taskflow.toml, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Project.model_json_schema(by_alias=True),
    }


def line_of(text: str, location: Sequence[str | int]) -> int | None:
    """The line (from 1) of the deepest part of `location` that stands in the TOML text.

    tomllib tells no positions, so this looks for the fewest lines that, read alone, have the part.
    """
    lines = text.split("\n")
    depth = next(n for n in range(len(location), -1, -1) if _has(tomllib.loads(text), location[:n]))

    def reached(count: int) -> bool:
        while count and (data := _parsed(lines[:count])) is None:
            count -= 1
        return count > 0 and _has(data, location[:depth])

    return bisect_left(range(len(lines)), True, key=reached) if depth else None


def _parsed(lines: list[str]) -> dict[str, Any] | None:
    """What the first lines of a file hold, be it that they end within a list or a long text."""
    for end in ("", "\n]", "\n}", '\n"""', "\n'''"):
        try:
            return tomllib.loads("\n".join(lines) + end)
        except tomllib.TOMLDecodeError:
            continue
    return None


def _has(value: Any, location: Sequence[str | int]) -> bool:
    for key in location:
        if isinstance(key, int):
            if not (isinstance(value, list) and key < len(value)):
                return False
        elif not (isinstance(value, dict) and key in value):
            return False
        value = value[key]
    return True


def _explain(text: str, path: Path, errors: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    errors = list(errors)
    places = [error["loc"] for error in errors]
    for error in errors:
        # A wrong entry is told; that without it the list would be empty is not.
        if error["type"] == "too_short" and any(error["loc"] == p[:-1] for p in places):
            continue
        at = error.get("ctx", {}).get("at", ())
        location = [part for part in (*error["loc"], *at) if part != "[key]"]
        number = line_of(text, location)
        where = f"{path.name}:{number}" if number else path.name
        key = ".".join(str(part) for part in location)
        message = _in_plain_words(error, location[-1] if location else None)
        lines.append(f"{where}: {key + ': ' if key else ''}{message}")
    return "\n".join(lines)


def _in_plain_words(error: Mapping[str, Any], key: object) -> str:
    """What is wrong with a key's value, without the words of the library that found it."""
    given, context = error["input"], error.get("ctx", {})
    shown = written(given)
    item = '"…"' if isinstance(given, (dict, list)) else shown
    text = item if item[0] == '"' else f'"{item}"'
    number = given if re.fullmatch(r"[0-9]{1,9}", str(given)) else 8000
    choices = str(context.get("expected", "")).replace("'", '"')
    wanted = {
        "tuple_type": f"a list, e.g. [{_keys(str(key).title().rstrip('s')) or item}]",
        "string_type": f"text in quotes, e.g. {text}",
        "int_type": f"a whole number without quotes, e.g. {number}",
        "int_from_float": f"a whole number, e.g. {number}",
        "date_type": "a date without quotes or time, e.g. 2027-01-31",
        "dict_type": 'a table, e.g. { NAME = "value" }',
        "model_type": f"a table, e.g. {_keys(context.get('class_name'))}",
        "enum": choices,
        "literal_error": choices,
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than_equal": f"{context.get('le')} or less",
    }.get(error["type"])
    if wanted:
        return f"must be {wanted}; it is {shown}"
    return {
        "extra_forbidden": "no such key",
        "missing": "is missing",
        "too_short": "must not be empty",
        "string_too_long": f"must have at most {context.get('max_length')} characters",
        "string_too_short": f"must have at least {context.get('min_length')} characters",
    }.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")


def _keys(entry: str | None) -> str:
    """The keys that an entry must have, as an inline table; nothing for what is no entry."""
    fields = next((e.model_fields for e in Entry.__subclasses__() if e.__name__ == entry), {})
    needed = [field.alias or name for name, field in fields.items() if field.is_required()]
    # A table that needs none of its keys is shown by those that are text.
    needed = needed or [f.alias or name for name, f in fields.items() if f.default == ""]
    return "{ " + ", ".join(f"{name} = …" for name in needed) + " }" if needed else ""
