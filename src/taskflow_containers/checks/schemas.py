"""The schemas of Kubernetes's own objects, as the package kubernetes-validate carries them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource


@dataclass(frozen=True, slots=True)
class Schema:
    """What one Kubernetes minor knows; strict, so unknown keys are errors, as in `kubectl`."""

    version: str
    groups: frozenset[str]
    names: Mapping[tuple[str, str], str]
    registry: Any

    def custom(self, item: Mapping[str, Any]) -> bool:
        """Whether it is a custom resource: its group is a domain, and none of Kubernetes's own."""
        group = str(item.get("apiVersion")).rpartition("/")[0]
        return "." in group and group not in self.groups

    def errors(self, item: Mapping[str, Any]) -> list[str]:
        """What is wrong with an object; nothing is known of a custom resource."""
        api, kind = str(item.get("apiVersion")), str(item.get("kind"))
        name = self.names.get((api, kind))
        if name is None:
            return [] if self.custom(item) else [f"there is no {kind} in {api}"]
        validator = Draft202012Validator({"$ref": name}, registry=self.registry)
        return [
            f"{'.'.join(map(str, error.absolute_path)) or 'its top'}: {error.message[:200]}"
            for error in validator.iter_errors(item)
        ]


def newest(count: int = 3) -> list[Schema]:
    """The newest minors that the package kubernetes-validate knows, oldest first."""
    root = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    folders: dict[tuple[int, int], Any] = {}
    for folder in root.iterdir():
        match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+-local-strict", folder.name)
        if match:
            folders[int(match[1]), int(match[2])] = folder
    return [
        _load(".".join(map(str, minor)), folder)
        for minor, folder in sorted(folders.items())[-count:]
    ]


def _load(version: str, folder: Any) -> Schema:
    content = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    groups, names = set(), {}
    for name, definition in content["$defs"].items():
        for made in definition.get("x-kubernetes-group-version-kind", ()):
            groups.add(made["group"])
            api = f"{made['group']}/{made['version']}".lstrip("/")
            names[api, made["kind"]] = f"{content['$id']}#/$defs/{name}"
    registry = Resource.from_contents(content) @ Registry()
    return Schema(version, frozenset(groups), names, registry)
