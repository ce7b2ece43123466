"""The loader of taskflow.toml: what it takes, and what it says, with the line, of what it refuses."""

import re
from pathlib import Path

import pytest

from taskflow_containers.machine.errors import ExitCode, InputError
from taskflow_containers.project.files import tools_folder
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Access, Project
from taskflow_containers.project.values import megabytes, parse_bytes, parse_seconds
from taskflow_containers.release.state import Product
from tests.conftest import Render

GOOD = """\
name = "taskflow"
title = "TaskFlow"
version = "0.1.0"
registry = "ghcr.io/acme"

[containers.backend]
kind = "backend"
base = "python:3.13-slim"
user = "1001:1001"
port = 8000
memory = "300MB"
health = { ready = "/api/health", live = "/api/health/live" }
connects = { DATABASE_URL = "database" }
volumes = [{ path = "/app/data", access = "read-write" }]
budgets = { size-above-base = "60MB", start = "2s", stop = "10s" }

[containers.backend.environment]
required = ["DATABASE_URL"]
optional = ["OPENROUTER_API_KEY"]
fixed = { PYTHONPATH = "/app/src" }

[services.database]
kind = "postgresql"
image = "postgres:17-alpine"
port = 5432

[scan]
severities = ["HIGH"]

[scan.licences.accepted]
"LGPL-3.0-only" = "used unchanged as a library"
"""


def read(folder: Path, text: str) -> Project:
    path = folder / "taskflow.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def refusal(folder: Path, text: str) -> str:
    """What the loader says of a file it must refuse; always with the exit code for wrong input."""
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert int(caught.value.exit_code) == 2
    assert caught.value.hint
    return caught.value.message


def test_a_good_file(tmp_path: Path) -> None:
    project = read(tmp_path, GOOD)
    backend = project.containers["backend"]
    assert project.image("backend") == "ghcr.io/acme/taskflow-backend"
    assert project.context("backend") == "backend"
    assert (backend.uid, backend.gid, backend.memory) == (1001, 1001, 300_000_000)
    assert backend.build_image == backend.base == "python:3.13-slim"
    assert backend.volumes[0].access is Access.READ_WRITE
    assert (backend.budgets.start, backend.budgets.size_above_base) == (2.0, 60_000_000)
    assert project.services["database"].port == 5432


# What is written instead of a line of GOOD, and what the loader says of it: line, key, message.
BAD = {
    "unknown key": ('port = 8000\n', 'port = 8000\nprot = 1\n', 11, "containers.backend.prot", "no such key"),
    "unknown key at the top": ('title =', 'titel = "x"\ntitle =', 2, "titel", "no such key"),
    "unknown key in a table": ('severities', 'severity = 1\nseverities', 28, "scan.severity", "no such key"),
    "unknown key in an inline table": ('live = "/api/health/live"', 'live = "/a", dead = "/b"', 12, "containers.backend.health.dead", "no such key"),
    "missing key": ('port = 8000\n', '', 6, "containers.backend.port", "is missing"),
    "missing part": (', live = "/api/health/live"', '', 12, "containers.backend.health.live", "is missing"),
    "a migration in one word": ("port = 8000\n", 'port = 8000\nmigrate = ["alembic upgrade head"]\n', 11, "containers.backend.migrate", 'names no program: write it as ["alembic", "upgrade", "head"]'),
    "a migration with an empty word": ("port = 8000\n", 'port = 8000\nmigrate = ["alembic", ""]\n', 11, "containers.backend.migrate", "names no program"),
    "port 0": ("port = 8000", "port = 0", 10, "containers.backend.port", "must be 1 or more"),
    "port too high": ("port = 8000", "port = 70000", 10, "containers.backend.port", "must be 65535 or less"),
    "port as text": ("port = 8000", 'port = "8000"', 10, "containers.backend.port", 'must be a whole number without quotes, e.g. 8000; it is "8000"'),
    "port as truth": ("port = 8000", "port = true", 10, "containers.backend.port", "must be a whole number"),
    "port with a fraction": ("port = 8000", "port = 8000.5", 10, "containers.backend.port", "must be a whole number"),
    "service port": ("port = 5432", "port = -1", 25, "services.database.port", "must be 1 or more"),
    "user by name": ('"1001:1001"', '"node:node"', 9, "containers.backend.user", "'node:node' is not numeric UID:GID"),
    "root": ('"1001:1001"', '"root"', 9, "containers.backend.user", "'root' is not numeric"),
    "root by number": ('"1001:1001"', '"0:0"', 9, "containers.backend.user", "'0:0' runs as root"),
    "root's group": ('"1001:1001"', '"1001:0"', 9, "containers.backend.user", "'1001:0' runs as root"),
    "no group": ('"1001:1001"', '"1001"', 9, "containers.backend.user", "'1001' is not numeric UID:GID"),
    "user as a number": ('"1001:1001"', "1001", 9, "containers.backend.user", 'must be text in quotes, e.g. "1001"; it is 1001'),
    "user in other digits": ('"1001:1001"', '"١٠٠١:١٠٠١"', 9, "containers.backend.user", "is not numeric"),
    "user out of range": ('"1001:1001"', '"1001:4294967296"', 9, "containers.backend.user", "out of range"),
    "memory without unit": ('"300MB"', '"300"', 11, "containers.backend.memory", """'300' is not a size such as "300MB" or "286MiB\""""),
    "memory in small letters": ('"300MB"', '"300 mb"', 11, "containers.backend.memory", "'300 mb' is not a size"),
    "memory below zero": ('"300MB"', '"-1MB"', 11, "containers.backend.memory", "'-1MB' is not a size"),
    "no memory": ('"300MB"', "0", 11, "containers.backend.memory", "0 is not a size"),
    "memory that rounds to nothing": ('"300MB"', '"0.4B"', 11, "containers.backend.memory", "'0.4B' is not a size"),
    "memory as truth": ('"300MB"', "true", 11, "containers.backend.memory", "true is not a size"),
    "memory in Kubernetes' unit": ('"300MB"', '"300Mi"', 11, "containers.backend.memory", "'300Mi' is not a size"),
    "duration without unit": ('start = "2s"', 'start = "2"', 15, "containers.backend.budgets.start", """'2' is not a duration such as "2s" or "500ms\""""),
    "duration as a number": ('start = "2s"', "start = 2", 15, "containers.backend.budgets.start", "2 is not a duration"),
    "no duration": ('start = "2s"', 'start = "0s"', 15, "containers.backend.budgets.start", "'0s' is not a duration"),
    "name in capitals": ('"taskflow"', '"TaskFlow"', 1, "name", "'TaskFlow' is not a DNS label"),
    "name with underscore": ('"taskflow"', '"task_flow"', 1, "name", "'task_flow' is not a DNS label"),
    "name ending in a hyphen": ('"taskflow"', '"taskflow-"', 1, "name", "'taskflow-' is not a DNS label"),
    "name too long": ('"taskflow"', f'"{"a" * 64}"', 1, "name", "at most 63 characters"),
    "name with a newline": ('"taskflow"', r'"taskflow\n"', 1, "name", r"'taskflow\n' is not a DNS label"),
    "name with a quote": ('"taskflow"', r'"task\"flow"', 1, "name", "is not a DNS label"),
    "no name": ('"taskflow"', '""', 1, "name", "'' is not a DNS label"),
    "title of two lines": ('"TaskFlow"', r'"Task\nFlow"', 2, "title", "is not one line"),
    "empty title": ('"TaskFlow"', '" "', 2, "title", "is not one line"),
    "version": ('"0.1.0"', '"v0.1"', 3, "version", "'v0.1' is not a semantic version"),
    "version with build data": ('"0.1.0"', '"0.1.0+1"', 3, "version", "is not a semantic version"),
    "registry with scheme": ('"ghcr.io/acme"', '"https://ghcr.io/acme"', 4, "registry", "is not a registry host[:port]/path"),
    "registry with slash": ('"ghcr.io/acme"', '"ghcr.io/acme/"', 4, "registry", "is not a registry"),
    "registry with capitals": ('"ghcr.io/acme"', '"ghcr.io/Acme"', 4, "registry", "is not a registry"),
    "registry's port too high": ('"ghcr.io/acme"', '"localhost:99999/acme"', 4, "registry", "port 99999 is none; a port goes from 1 to 65535"),
    "registry's port 0": ('"ghcr.io/acme"', '"localhost:0"', 4, "registry", "port 0 is none"),
    "registry's port with zeros": ('"ghcr.io/acme"', '"localhost:0080"', 4, "registry", "port 0080 is none"),
    "registry's port of many digits": ('"ghcr.io/acme"', f'"localhost:{"1" * 5000}"', 4, "registry", "a port goes from 1 to 65535"),
    "registry's port without digits": ('"ghcr.io/acme"', '"localhost:/acme"', 4, "registry", "is not a registry"),
    "registry's host too long": ('"ghcr.io/acme"', f'"{"a" * 64}.io/acme"', 4, "registry", "each part of the host between dots has 1 to 63 characters"),
    "registry's host with two dots": ('"ghcr.io/acme"', '"ghcr..io/acme"', 4, "registry", "each part of the host between dots"),
    "registry too long": ('"ghcr.io/acme"', f'"ghcr.io/{"a" * 121}"', 4, "registry", "is longer than 128 characters"),
    "base from a port too high": ('"python:3.13-slim"', '"localhost:70000/python:3"', 8, "containers.backend.base", "port 70000 is none"),
    "base from a host too long": ('"python:3.13-slim"', f'"{"a" * 64}.io/python"', 8, "containers.backend.base", "each part of the host"),
    "container in capitals": ("[containers.backend]", "[containers.Backend]", 6, "containers.Backend", "is not a DNS label"),
    "unknown kind": ('kind = "backend"', 'kind = "job"', 7, "containers.backend.kind", 'must be "backend", "frontend", "worker" or "cron"; it is "job"'),
    "base in capitals": ('"python:3.13-slim"', '"Python:3.13-slim"', 8, "containers.backend.base", "is not an image reference"),
    "base without tag": ('"python:3.13-slim"', '"python:"', 8, "containers.backend.base", "is not an image reference"),
    "base with scheme": ('"python:3.13-slim"', '"docker://python"', 8, "containers.backend.base", "is not an image reference"),
    "base with an empty part": ('"python:3.13-slim"', '"library//python"', 8, "containers.backend.base", "is not an image reference"),
    "base that is an option": ('"python:3.13-slim"', '"--privileged/python"', 8, "containers.backend.base", "is not an image reference"),
    "base with a short digest": ('"python:3.13-slim"', '"python@sha256:abc"', 8, "containers.backend.base", "is not an image reference"),
    "base with two images": ('"python:3.13-slim"', '"python:3 node:24"', 8, "containers.backend.base", "is not an image reference"),
    "service image": ('"postgres:17-alpine"', r'"postgres:17\n"', 24, "services.database.image", "is not an image reference"),
    "connects to unknown": ('= "database" }', '= "databse" }', 13, "containers.backend.connects.DATABASE_URL", "'databse' is neither a container, a service nor an http(s) URL"),
    "connects to two lines": ('= "database" }', r'= "http://a\nb" }', 13, "containers.backend.connects.DATABASE_URL", "is neither"),
    "connects not required": ('required = ["DATABASE_URL"]', "", 13, "containers.backend.connects.DATABASE_URL", "is not among environment.required"),
    "variable stated twice": ('["OPENROUTER_API_KEY"]', '["DATABASE_URL"]', 17, "containers.backend.environment", "stated twice: DATABASE_URL"),
    "variable's name": ('"OPENROUTER_API_KEY"', '"OPENROUTER-KEY"', 19, "containers.backend.environment.optional.0", "is not an environment variable's name"),
    "fixed variable's name": ("{ PYTHONPATH", "{ 1PATH", 20, "containers.backend.environment.fixed.1PATH", "is not an environment variable's name"),
    "fixed value": ('"/app/src"', "1", 20, "containers.backend.environment.fixed.PYTHONPATH", 'must be text in quotes, e.g. "1"'),
    "shared name": ("[services.database]", "[services.backend]", 22, "services.backend", "a container and a service share this name"),
    "context above": ('base = "', 'context = "../x"\nbase = "', 8, "containers.backend.context", "'../x' is not a folder inside the project"),
    "context from the root": ('base = "', 'context = "/srv"\nbase = "', 8, "containers.backend.context", "is not a folder inside"),
    "context of the reports": ('base = "', 'context = "reports/api"\nbase = "', 8, "containers.backend.context", "'reports/api' is none for sources"),
    "name of the chart's folder": ("[containers.backend]", "[containers.chart]\nkind = 'backend'\nbase = 'x:1'\nuser = '1:1'\nport = 1\nmemory = '20MB'\nhealth = { ready = '/', live = '/' }\nbudgets = { size-above-base = '1MB', start = '1s', stop = '1s' }\n[containers.backend]", 6, "containers.chart", "the folder 'chart' is none for sources"),
    "Dockerfile outside": ('base = "', 'dockerfile = "../Dockerfile"\nbase = "', 8, "containers.backend.dockerfile", "'../Dockerfile' is not a file or folder inside the project"),
    "Dockerfile of nothing": ('base = "', 'dockerfile = "./"\nbase = "', 8, "containers.backend.dockerfile", "is not a file or folder inside the project"),
    "Dockerfile that trivy does not know": ('base = "', 'dockerfile = "api/build"\nbase = "', 8, "containers.backend.dockerfile", "is not called \"Dockerfile\""),
    "chart outside": ("[services.database]", '[files]\nchart = "/srv"\n[services.database]', 23, "files.chart", "is not a file or folder inside the project"),
    "no name of a chart": ("[services.database]", '[files]\nchart = ""\n[services.database]', 23, "files.chart", "is not a file or folder inside the project"),
    "context of a chart of another name": ("[services.database]", '[files]\nchart = "backend"\n[services.database]', 6, "containers.backend", "'backend' is none for sources"),
    "context of the tools": ('base = "', 'context = "./tools"\nbase = "', 8, "containers.backend.context", "'tools' is none for sources"),
    "context of the chart": ('base = "', 'context = ".//Chart/./x/"\nbase = "', 8, "containers.backend.context", "'Chart/x' is none for sources"),
    "context of git": ('base = "', 'context = "backend/.git"\nbase = "', 8, "containers.backend.context", "'backend/.git' is none for sources"),
    "context of Windows": ('base = "', "context = 'a\\b'\nbase = \"", 8, "containers.backend.context", "is not a folder inside"),
    "health path": ('"/api/health",', '"api/health",', 12, "containers.backend.health.ready", "'api/health' is not a path"),
    "health URL": ('"/api/health",', '"http://localhost/",', 12, "containers.backend.health.ready", "is not a path"),
    "relative volume": ('"/app/data"', '"data"', 14, "containers.backend.volumes.0.path", "'data' is not an absolute path"),
    "volume above": ('"/app/data"', '"/app/../etc"', 14, "containers.backend.volumes.0.path", "is not an absolute path"),
    "volume of everything": ('"/app/data"', '"/"', 14, "containers.backend.volumes.0.path", "is not an absolute path"),
    "volume with options": ('"/app/data"', '"/app/data:ro"', 14, "containers.backend.volumes.0.path", "is not an absolute path"),
    "volume's access": ('"read-write"', '"rw"', 14, "containers.backend.volumes.0.access", 'must be "read-only" or "read-write"; it is "rw"'),
    "volume twice": ('"read-write" }', '"read-write" }, { path = "/app/data", access = "read-only" }', 14, "containers.backend.volumes", "stated twice: /app/data"),
    "user with leading zeros": ('"1001:1001"', '"01001:1001"', 9, "containers.backend.user", """'01001:1001' has leading zeros; write "1001:1001\""""),
    "group with leading zeros": ('"1001:1001"', '"1001:0001"', 9, "containers.backend.user", """has leading zeros; write "1001:1\""""),
    "user of many digits": ('"1001:1001"', f'"{"1" * 5000}:1"', 9, "containers.backend.user", "is not numeric"),
    "version too long for a label": ('"0.1.0"', f'"1.0.0-{"a" * 58}"', 3, "version", "a value of a Kubernetes label, which has up to 63 characters"),
    "version of many digits": ('"0.1.0"', f'"1.0.{"9" * 5000}"', 3, "version", "up to 63 characters"),
    "version that ends in a hyphen": ('"0.1.0"', '"1.0.0-a-"', 3, "version", "does not end in a hyphen"),
    "version as a number": ('"0.1.0"', "0.1", 3, "version", 'must be text in quotes, e.g. "0.1"; it is 0.1'),
    "memory in bytes by mistake": ('"300MB"', "300", 11, "containers.backend.memory", "300 bytes are less than the 6 MiB that Docker needs"),
    "memory as a list": ('"300MB"', '["300MB"]', 11, "containers.backend.memory", "a list is not a size"),
    "volume of processes": ('"/app/data"', '"/proc"', 14, "containers.backend.volumes.0.path", "'/proc' is not the project's: /proc is the kernel's"),
    "volume inside of /sys": ('"/app/data"', '"/sys/fs"', 14, "containers.backend.volumes.0.path", "/sys is the kernel's"),
    "volume inside of /dev": ('"/app/data"', '"/dev/shm"', 14, "containers.backend.volumes.0.path", "/dev is the kernel's"),
    "volume of the configuration": ('"/app/data"', '"/etc"', 14, "containers.backend.volumes.0.path", "/etc is the image's"),
    "volume inside of /tmp": ('"/app/data"', '"/tmp/cache"', 14, "containers.backend.volumes.0.path", "/tmp is a tmpfs of every container already"),
    "volume over the programs": ('"/app/data"', '"/usr"', 14, "containers.backend.volumes.0.path", "would hide what the container runs"),
    "volume over the service": ('"/app/data"', '"/app"', 14, "containers.backend.volumes.0.path", "would hide what the container runs"),
    "connects to itself": ('= "database" }', '= "backend" }', 13, "containers.backend.connects.DATABASE_URL", "'backend' is this very container"),
    "connects to a port that is none": ('= "database" }', '= "http://localhost:99999" }', 13, "containers.backend.connects.DATABASE_URL", "is neither"),
    "connects to a URL without host": ('= "database" }', '= "http:///x" }', 13, "containers.backend.connects.DATABASE_URL", "is neither"),
    "list as text": ('["DATABASE_URL"]', '"DATABASE_URL"', 18, "containers.backend.environment.required", 'must be a list, e.g. ["DATABASE_URL"]; it is "DATABASE_URL"'),
    "list as a table": ('["DATABASE_URL"]', "{ a = 1 }", 18, "containers.backend.environment.required", "must be a list, e.g. [\"…\"]; it is a table"),
    "number in a list of texts": ('["OPENROUTER_API_KEY"]', "[3]", 19, "containers.backend.environment.optional.0", 'must be text in quotes, e.g. "3"; it is 3'),
    "text as a list": ('"TaskFlow"', '["TaskFlow"]', 2, "title", "must be text in quotes, e.g. \"…\"; it is a list"),
    "text as truth": ('"TaskFlow"', "true", 2, "title", 'must be text in quotes, e.g. "true"; it is true'),
    "text as a date": ('"TaskFlow"', "2024-01-01", 2, "title", 'e.g. "2024-01-01"'),
    "table as text": ('{ DATABASE_URL = "database" }', '"database"', 13, "containers.backend.connects", 'must be a table, e.g. { NAME = "value" }; it is "database"'),
    "entry as text": ('{ ready = "/api/health", live = "/api/health/live" }', '"/health"', 12, "containers.backend.health", 'must be a table, e.g. { ready = …, live = … }; it is "/health"'),
    "volumes as a table": ('[{ path = "/app/data", access = "read-write" }]', '{ path = "/app/data", access = "read-write" }', 14, "containers.backend.volumes", "must be a list, e.g. [{ path = …, access = … }]; it is a table"),
    "volume as text": ('[{ path = "/app/data", access = "read-write" }]', '["/app/data"]', 14, "containers.backend.volumes.0", "must be a table, e.g. { path = …, access = … }"),
    "entry in double brackets": ("[services.database]", "[[services.database]]", 22, "services.database", "must be a table, e.g. { kind = …, image = …, port = … }; it is a list"),
    "kind as a number": ('kind = "backend"', "kind = 1", 7, "containers.backend.kind", 'must be "backend", "frontend", "worker" or "cron"; it is 1'),
    "a worker with a port": ('kind = "backend"', 'kind = "worker"\nruntime = "python"', 11, "containers.backend.port", 'is for the kind "backend" or "frontend"; this is a "worker"'),
    "a backend with a schedule": ("port = 8000\n", 'port = 8000\nschedule = "@daily"\n', 11, "containers.backend.schedule", 'is for the kind "cron"; this is a "backend"'),
    "a backend with a runtime": ("port = 8000\n", 'port = 8000\nruntime = "node"\n', 11, "containers.backend.runtime", 'is for the kind "worker" or "cron"'),
    "a backend with a health command": ('live = "/api/health/live"', 'live = "/a", command = ["true"]', 12, "containers.backend.health.command", 'is for the kind "worker"'),
    "a backend with a time to run": ('start = "2s"', 'start = "2s", run = "9s"', 15, "containers.backend.budgets.run", 'is for the kind "cron"'),
    "severities as text": ('["HIGH"]', '"HIGH"', 28, "scan.severities", 'must be a list, e.g. ["HIGH"]'),
    "unknown severity": ('["HIGH"]', '["HIGH", "SEVERE"]', 28, "scan.severities.1", 'must be "LOW", "MEDIUM", "HIGH" or "CRITICAL"'),
    "no severity": ('["HIGH"]', "[]", 28, "scan.severities", "must not be empty"),
    "title of control characters": ('"TaskFlow"', r'"Task\u0085Flow"', 2, "title", "is not one line"),
    "title that turns around": ('"TaskFlow"', r'"Task\u202eFlow"', 2, "title", "is not one line"),
    "title of escapes": ('"TaskFlow"', r'"\u001b[31mTask"', 2, "title", "is not one line"),
    "source that is no URL": ('version =', 'source = "acme/shop"\nversion =', 3, "source", "'acme/shop' is not a URL such as"),
    "source by ssh": ('version =', 'source = "git@example.com:acme/shop"\nversion =', 3, "source", "is not a URL"),
    "too much memory": ('"300MB"', '"1001GB"', 11, "containers.backend.memory", 'it is more than "1000GB"'),
    "memory of many digits": ('"300MB"', f'"{"9" * 16}B"', 11, "containers.backend.memory", "is not a size"),
    "memory as a number of many digits": ('"300MB"', "9" * 16, 11, "containers.backend.memory", "is not a size"),
    "base too long": ('"python:3.13-slim"', f'"{"a" * 100_000}"', 8, "containers.backend.base", "must have at most 512 characters"),
    "health path of another host": ('"/api/health",', '"//evil.example/x",', 12, "containers.backend.health.ready", "is not a path"),
    "health path upwards": ('"/api/health",', '"/../x",', 12, "containers.backend.health.ready", "'/../x' is not a path"),
    "health path with a dot": ('"/api/health",', '"/./x",', 12, "containers.backend.health.ready", "is not a path"),
    "health path with a query": ('"/api/health",', '"/health?x=1",', 12, "containers.backend.health.ready", "is not a path"),
    "health path with a fragment": ('"/api/health",', '"/health#x",', 12, "containers.backend.health.ready", "is not a path"),
    "health path with a blank": ('"/api/health",', '"/he alth",', 12, "containers.backend.health.ready", "is not a path"),
    "volume over the code": ('"/app/data"', '"/app/src"', 14, "containers.backend.volumes.0.path", "would hide the code in /app/src"),
    "volume inside of the code": ('"/app/data"', '"/app/.venv/lib"', 14, "containers.backend.volumes.0.path", "would hide the code in /app/.venv"),
    "volume of the engine's socket": ('"/app/data"', '"/var/run/docker.sock"', 14, "containers.backend.volumes.0.path", "is no folder for data"),
    "licence reason of blanks": ('"used unchanged as a library"', f'"{" " * 20}"', 31, "scan.licences.accepted.LGPL-3.0-only", "at least 10 characters"),
    "licence without ID": ('"LGPL-3.0-only"', '""', 31, "scan.licences.accepted.", "'' is not an SPDX ID"),
    "fixed value of two lines": ('"/app/src"', r'"/app\nsrc"', 20, "containers.backend.environment.fixed.PYTHONPATH", "is not one line"),
    "fixed value with a NUL": ('"/app/src"', r'"/app\u0000src"', 20, "containers.backend.environment.fixed.PYTHONPATH", "is not one line"),
    "context of blanks": ('base = "', 'context = "  "\nbase = "', 8, "containers.backend.context", "'  ' is not a folder inside"),
    "context at home": ('base = "', 'context = "~/x"\nbase = "', 8, "containers.backend.context", "'~/x' is not a folder inside"),
    "licence without reason": ('"used unchanged as a library"', '"ok"', 31, "scan.licences.accepted.LGPL-3.0-only", "at least 10 characters"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused_with_line_key_and_message(case: str, tmp_path: Path) -> None:
    old, new, line, key, message = BAD[case]
    assert GOOD.count(old) >= 1, "the test's own file no longer holds this"
    said = refusal(tmp_path, GOOD.replace(old, new, 1)).splitlines()
    # A wrong name is missing under its right one too; each error has a line of its own.
    assert any(
        text.startswith(f"taskflow.toml:{line}: {key}: ") and message in text for text in said
    ), said


@pytest.mark.parametrize("case", BAD)
def test_no_words_of_the_library(case: str, tmp_path: Path) -> None:
    old, new, *_ = BAD[case]
    said = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert not re.search(
        r"Input should|valid (string|integer|list|dict)|Value error|pydantic", said
    )
    assert max(map(len, said.splitlines())) < 300


@pytest.mark.parametrize(
    "path",
    [
        "/etcetera",
        "/procs/x",
        "/tmpfs",
        "/var/lib/app",
        "/usr/share/x",
        "/opt",
        "/app/source",
        "/app/public",
        "/run/app",
    ],
)
def test_volumes_taken(path: str, tmp_path: Path) -> None:
    volumes = read(tmp_path, GOOD.replace("/app/data", path)).containers["backend"].volumes
    assert [volume.path for volume in volumes] == [path]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085"])
def test_only_a_newline_starts_a_line(mark: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, f"# a{mark}b{mark}c\n" + GOOD.replace("8000", "0"))
    assert said.startswith("taskflow.toml:11: containers.backend.port: ")
    said = refusal(tmp_path, f"# a{mark}b{mark}c\n" + 'x = """\n')
    assert said.startswith("taskflow.toml:2: not valid TOML: ")


def test_a_number_of_many_digits(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD.replace("8000", "9" * 5000))
    assert said == "taskflow.toml:10: a number has too many digits"


def test_what_may_be_said_otherwise(tmp_path: Path) -> None:
    text = GOOD.replace("version", 'source = "https://example.com/acme/shop.git"\nversion')
    text = text.replace('"TaskFlow"', '"Größe 🚀"').replace('"300MB"', "300_000_000")
    text = text.replace('"/api/health"', '"/api/v1.0/health/"').replace(
        'base = "', 'context = "my services/b"\nbase = "', 1
    )
    project = read(tmp_path, text)
    assert project.title == "Größe 🚀"
    assert project.containers["backend"].memory == 300_000_000


def test_a_wrong_entry_does_not_empty_its_list(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, GOOD.replace('"HIGH"', '"high"')).splitlines()) == 1


def test_every_error_is_said_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD.replace("port = 8000", "port = 0").replace("2s", "2h"))
    assert [text.split(": ")[0] for text in said.splitlines()] == [
        "taskflow.toml:10",
        "taskflow.toml:15",
    ]


def test_the_line_within_an_array_of_tables(tmp_path: Path) -> None:
    volumes = '\n[[containers.backend.volumes]]\npath = "/a"\naccess = "read-only"\n'
    text = GOOD.replace('volumes = [{ path = "/app/data", access = "read-write" }]\n', "")
    text += volumes + volumes.replace('"/a"', '"b"')
    wanted = text.splitlines().index('path = "b"') + 1
    assert refusal(tmp_path, text).startswith(
        f"taskflow.toml:{wanted}: containers.backend.volumes.1.path: 'b' is not"
    )


@pytest.mark.parametrize("before", ["[\n", "[ # both\n  # the first\n"])
def test_the_line_of_an_item(before: str, tmp_path: Path) -> None:
    first = '{ path = "/app/data", access = "read-write" }'
    wrong = first.replace("/app/data", "etc")
    text = GOOD.replace(f"[{first}]", f"{before}  {first}, # one\n\n  {wrong},\n]")
    wanted = text.splitlines().index(f"  {wrong},") + 1
    assert refusal(tmp_path, text).startswith(
        f"taskflow.toml:{wanted}: containers.backend.volumes.1.path: "
    )
    text = GOOD.replace(f"[{first}]", f"[{first}, {wrong}]")
    key = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("volumes"))
    assert refusal(tmp_path, text).startswith(f"taskflow.toml:{key}: containers.backend.volumes.1")


def test_the_line_of_dotted_and_quoted_keys(tmp_path: Path) -> None:
    text = GOOD.replace("[containers.backend]", '[ containers . "backend" ]')
    text = text.replace("port = 8000", '"port"=0')
    assert refusal(tmp_path, text).startswith("taskflow.toml:10: containers.backend.port: ")
    text = GOOD.replace("[scan]\n", "").replace("severities", "scan.severities")
    text = text[text.index("scan.") :].replace("HIGH", "high") + GOOD[: GOOD.index("[services")]
    assert "taskflow.toml:1: scan.severities.0: " in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (GOOD.replace('"TaskFlow"', "TaskFlow"), 2, "not valid TOML: Invalid value"),
        (GOOD.replace("port = 8000", "port = 8000\nport = 8001"), 11, "Cannot overwrite a value"),
        (GOOD.replace("[scan]", "[containers.backend]"), 27, "Cannot declare"),
        (GOOD.replace('"taskflow"', '"taskflow'), 1, "not valid TOML: Illegal character"),
        (GOOD + 'x = """\n', 32, "not valid TOML: Unterminated string"),
        ("<<<<<<< yours\n" + GOOD, 1, "not valid TOML"),
    ],
)
def test_not_toml(text: str, line: int, message: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, text)
    assert said.startswith(f"taskflow.toml:{line}: not valid TOML: ")
    assert message in said


@pytest.mark.parametrize("containers", ["", "containers = {}\n"])
def test_no_containers(containers: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, 'name = "a"\ntitle = "A"\nversion = "1.0.0"\n' + containers)
    assert said.startswith(
        "taskflow.toml:4: containers: " if containers else "taskflow.toml: containers: is missing"
    )


def test_empty(tmp_path: Path) -> None:
    assert "taskflow.toml: name: is missing" in refusal(tmp_path, "").splitlines()


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"taskflow\.toml is not here") as caught:
        load(tmp_path / "taskflow.toml")
    assert caught.value.hint == "run this in the project's top folder"
    assert caught.value.exit_code == 2


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taskflow.toml").mkdir()
    with pytest.raises(InputError, match=r"taskflow\.toml cannot be read: Is a directory"):
        load(tmp_path / "taskflow.toml")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "taskflow.toml"
    path.write_bytes(GOOD.replace("TaskFlow", "Täskflow").encode("latin-1"))
    with pytest.raises(InputError, match=r"^taskflow\.toml:2: not UTF-8"):
        load(path)


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "taskflow.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path).name == "taskflow"


WORKER = """
[containers.mail]
kind = "worker"
runtime = "python"
base = "python:3.13-slim"
user = "1001:1001"
memory = "300MB"
health = { command = ["python", "well.py"] }
budgets = { size-above-base = "60MB", start = "2s", stop = "10s" }
"""
CRON = WORKER.replace('"worker"', '"cron"').replace("health", "command").replace(
    '{ command = ["python", "well.py"] }', '["python", "tidy.py"]\nschedule = "*/5 0,8-18 ? jan-MAR mon"'
).replace("start =", "run =")  # fmt: skip
# What is written instead of a line of WORKER or CRON; line below [containers.mail], key, message.
BAD_JOBS = {
    "no interpreter": (WORKER, 'runtime = "python"\n', "", 1, "runtime", "is missing"),
    "health by HTTP": (WORKER, 'command = ["python", "well.py"]', 'ready = "/a"', 7, "health.ready", 'is for the kind "backend" or "frontend"'),
    "health without a command": (WORKER, ' command = ["python", "well.py"] ', "", 7, "health.command", "is missing"),
    "health in one word": (WORKER, '"python", "well.py"', '"python well.py"', 7, "health.command", "names no program"),
    "a worker's schedule": (WORKER, "memory", 'schedule = "@daily"\nmemory', 6, "schedule", 'is for the kind "cron"'),
    "no start": (WORKER, 'start = "2s", ', "", 8, "budgets.start", "is missing"),
    "no schedule": (CRON, "schedule", "x = 1 #", 8, "x", "no such key"),
    "no run": (CRON, 'run = "2s", ', "", 9, "budgets.run", "is missing"),
    "health of a cron job": (CRON, "memory", 'health = { command = ["true"] }\nmemory', 6, "health", 'is for the kind'),
    "four fields": (CRON, "*/5 0", "0", 8, "schedule", "is no schedule of cron, five fields such as"),
    "a step of nothing": (CRON, "*/5", "*/0", 8, "schedule", "is no schedule of cron"),
    "a minute too many": (CRON, "*/5", "60", 8, "schedule", "is no schedule of cron"),
    "a range that goes down": (CRON, "8-18", "18-8", 8, "schedule", "is no schedule of cron"),
    "an unknown month": (CRON, "jan", "month", 8, "schedule", "is no schedule of cron"),
    "a day that Kubernetes has not": (CRON, " mon", " 7", 8, "schedule", "is no schedule of cron"),
    "a base path": (WORKER, "memory", 'base-path = "/x"\nmemory', 6, "base-path", "is a frontend's alone"),
}  # fmt: skip


def test_a_worker_and_a_cron_job(tmp_path: Path) -> None:
    project = read(tmp_path, GOOD + WORKER + CRON.replace("mail", "tidy").replace("python", "node"))
    mail, tidy = project.containers["mail"], project.containers["tidy"]
    assert (mail.kind, tidy.kind) == (Kind.WORKER, Kind.CRON)
    assert (mail.interpreter[0], tidy.interpreter[0]) == ("python", "node")
    assert mail.health.command == ("python", "well.py") and not (mail.port or tidy.port)
    assert not mail.kind.serves and project.containers["backend"].kind.serves
    entry = WORKER.replace(
        "budgets", 'connects = { A = "backend" }\nenvironment = { required = ["A"] }\nbudgets'
    )
    assert read(tmp_path, GOOD + entry).containers["mail"].connects == {"A": "backend"}
    said = refusal(
        tmp_path, GOOD + WORKER + entry.replace("mail", "post").replace('"backend"', '"mail"')
    )
    assert "containers.post.connects.A: 'mail' has no port to connect to: it is a worker" in said


@pytest.mark.parametrize("case", BAD_JOBS)
def test_a_worker_or_a_cron_job_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, old, new, line, key, message = BAD_JOBS[case]
    said = refusal(tmp_path, GOOD + text.replace(old, new, 1)).splitlines()
    place = f"taskflow.toml:{GOOD.count(chr(10)) + 1 + line}: containers.mail.{key}: "
    start = place if new else place.partition(": ")[0].rpartition(":")[0]
    assert any(part.startswith(start) and key in part and message in part for part in said), said


def test_a_second_backend_is_an_entry(tmp_path: Path) -> None:
    entry = GOOD[GOOD.index("[containers.backend]") : GOOD.index("[services")]
    project = read(tmp_path, GOOD + "\n" + entry.replace("backend]", "billing]").replace(
        "containers.backend.", "containers.billing."
    ).replace("port = 8000", 'port = 8001\ncontext = "services/billing"'))  # fmt: skip
    assert list(project.containers) == ["backend", "billing"]
    assert project.image("billing") == "ghcr.io/acme/taskflow-billing"
    assert project.context("billing") == "services/billing"
    assert project.dockerfile("billing") == "services/billing/Dockerfile"


@pytest.mark.parametrize(
    ("more", "context", "dockerfile"),
    [
        ("", "backend", "backend/Dockerfile"),
        ('context = "././"', ".", "Dockerfile"),
        ('context = "."\ndockerfile = "./apps/api/own.Dockerfile"', ".", "apps/api/own.Dockerfile"),
        ('dockerfile = "deploy/Dockerfile.api"', "backend", "deploy/Dockerfile.api"),
    ],
)
def test_where_a_build_is(more: str, context: str, dockerfile: str, tmp_path: Path) -> None:
    project = read(tmp_path, GOOD.replace("port = 8000", f"port = 8000\n{more}"))
    assert (project.context("backend"), project.dockerfile("backend")) == (context, dockerfile)


def test_names_of_the_templates_files(tmp_path: Path) -> None:
    """A folder called tools is the project's own where ours has another name."""
    ours = '[files]\ncompose = "ours.yaml"\nchart = "deploy/chart"\ntools = "own"\n'
    text = GOOD.replace("port = 8000", 'port = 8000\ncontext = "tools"')
    project = read(tmp_path, f"{text}\n{ours}")
    assert project.files.model_dump() == {
        "compose": "ours.yaml", "chart": "deploy/chart", "tools": "own"
    }  # fmt: skip
    assert tools_folder(tmp_path) == "own"
    (tmp_path / "deploy" / "chart").mkdir(parents=True)
    (tmp_path / "deploy" / "chart" / "Chart.yaml").touch()
    product = Product.of(tmp_path, project, ())
    assert product.chart == "ghcr.io/acme/charts/taskflow"
    assert product.folders == ("tools", "deploy/chart")
    assert Product.model_validate(product.model_dump(mode="json")) == product
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"{text}\n{ours}chrat = 1\n")
    assert caught.value.hint.startswith("own/")


def test_select(tmp_path: Path) -> None:
    project = read(tmp_path, GOOD)
    assert list(project.select([])) == list(project.select(["backend", "backend"])) == ["backend"]
    with pytest.raises(InputError, match="unknown container: bakend, worker") as caught:
        project.select(["backend", "bakend", "worker"])
    assert caught.value.hint == "taskflow.toml has: backend"
    assert caught.value.exit_code == ExitCode.WRONG_INPUT


@pytest.mark.parametrize(
    ("image"),
    [
        "python",
        "python:3.13-slim",
        "ghcr.io/acme/python:3.13",
        "localhost:5000/a/b__c/d--e:T_1.2",
        "python:3.13@sha256:" + "0" * 64,
        "taskflow-standin/python:3.13-slim",
    ],
)
def test_images_taken(image: str, tmp_path: Path) -> None:
    assert (
        read(tmp_path, GOOD.replace("python:3.13-slim", image)).containers["backend"].base == image
    )


@pytest.mark.parametrize(
    "registry",
    [
        "",
        "acme",
        "localhost:5000",
        "ghcr.io/acme/team",
        "r.example:443/x",
        "a" * 63 + ".io:65535/a",
    ],
)
def test_registries_taken(registry: str, tmp_path: Path) -> None:
    project = read(tmp_path, GOOD.replace("ghcr.io/acme", registry))
    assert project.image("backend") == f"{registry}/taskflow-backend".removeprefix("/")


def test_sizes_are_decimal_unless_they_say_binary() -> None:
    assert parse_bytes("300MB") == parse_bytes(300_000_000) == 300_000_000
    assert parse_bytes("300 MiB") == 314_572_800
    assert (parse_bytes("1kB"), parse_bytes("1KiB"), parse_bytes("0.5GB")) == (
        1000,
        1024,
        5 * 10**8,
    )
    assert megabytes(parse_bytes("286.1MiB")) == "300.0 MB"


def test_durations() -> None:
    assert (parse_seconds("2s"), parse_seconds("500ms"), parse_seconds("0.5 s")) == (2.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("answers", "containers", "services"),
    [
        ({}, ["backend", "frontend"], ["database"]),
        ({"containers": "backend", "database": False}, ["backend"], []),
        ({"containers": "frontend", "registry": "ghcr.io/acme"}, ["frontend"], []),
    ],
)
def test_what_the_template_renders_loads(
    render: Render, answers: dict[str, object], containers: list[str], services: list[str]
) -> None:
    project = load(render(**answers) / "taskflow.toml")
    assert list(project.containers) == containers
    assert list(project.services) == services
    assert {c.user for c in project.containers.values()} == {"1001:1001"}
    limits = {"backend": 300_000_000, "frontend": 200_000_000}
    assert all(c.memory == limits[name] for name, c in project.containers.items())


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        ("2", "format 2, and this tool reads format 1", "`copier update`"),
        ("0", "0 is no format", "write schema = 1"),
        ("true", "true is no format", "write schema = 1"),
        ("1.0", "1.0 is no format", "write schema = 1"),
        ('"1"', '"1" is no format', "write schema = 1"),
        ("[1]", "a list is no format", "write schema = 1"),
    ],
)
def test_another_format_is_told_before_anything_else(
    given: str, said: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "taskflow.toml"
    path.write_text(f"# one\nschema = {given}\nnaem = 1\n{GOOD}", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.message.startswith("taskflow.toml:2: schema: ")
    assert said in caught.value.message and "naem" not in caught.value.message
    assert hint in caught.value.hint


def test_the_format_may_be_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).format == read(tmp_path, f"schema = 1\n{GOOD}").format == 1


def test_the_line_of_a_key_behind_values_of_several_lines(tmp_path: Path) -> None:
    text = f'a = """\nport = 1\n"""\nb = [\n  # one\n  [1,\n   2],\n]\n{GOOD}'
    text = text.replace("port = 8000", "port = 0")
    said = refusal(tmp_path, text).splitlines()
    assert [line.split(": ")[:2] for line in said] == [
        ["taskflow.toml:18", "containers.backend.port"],
        ["taskflow.toml:1", "a"],
        ["taskflow.toml:4", "b"],
    ]


WAIVER = """
[[waivers]]
check = "lint.hadolint"
container = "backend"
covers = "DL3018 backend/Dockerfile"
reason = "the mirror of this network keeps one version"
expires = 2027-01-31
"""
BAD_WAIVERS = {
    "no expiry": ("expires = 2027-01-31\n", "", 1, "waivers.0.expires", "is missing"),
    "expiry as text": ("2027-01-31", '"2027-01-31"', 6, "waivers.0.expires", "must be a date without quotes or time"),
    "expiry with a time": ("2027-01-31", "2027-01-31T00:00:00Z", 6, "waivers.0.expires", "must be a date"),
    "no reason": ("the mirror of this network keeps one version", "       because", 5, "waivers.0.reason", "at least 10 characters"),
    "no check": ("lint.hadolint", "DL3018", 2, "waivers.0.check", "is not the id of a check such as lint.hadolint"),
    "unknown container": ('"backend"', '"bakend"', 3, "waivers.0.container", "there is no container 'bakend'"),
    "nothing covered": ('"DL3018 backend/Dockerfile"', '""', 4, "waivers.0.covers", "'' is not what stands in a finding"),
    "unknown key": ("covers", "cover", 4, "waivers.0.cover", "no such key"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_WAIVERS)
def test_a_waiver_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    old, new, line, key, message = BAD_WAIVERS[case]
    said = refusal(tmp_path, GOOD + WAIVER.replace(old, new, 1)).splitlines()
    number = GOOD.count("\n") + 1 + line
    assert any(text.startswith(f"taskflow.toml:{number}: {key}: ") and message in text for text in said), said  # fmt: skip
