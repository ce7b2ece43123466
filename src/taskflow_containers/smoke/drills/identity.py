"""Who the container is while it runs, and where it may write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, NoInterpreter
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Access
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import Running

_APP = "/app"
_TOKEN_FILE = ".taskflow-kept"
# One program for each interpreter: who PID 1 is, and where it may write.
_PROBE = {
    "python": """
import json, os, sys
app, *paths = sys.argv[1:]
def write(path):
    try:
        with open(path + '/.taskflow-probe', 'w') as file: file.write('x')
        os.remove(path + '/.taskflow-probe')
        return ''
    except OSError as error: return error.strerror
print(json.dumps({'status': open('/proc/1/status').read(),
                  'mounts': open('/proc/1/mountinfo').read(),
                  'files': {p: len(os.listdir(p)) for p in paths if os.path.isdir(p)},
                  'write': {p: write(p) for p in ('/', '/etc', '/var/tmp', '/tmp', app, *paths)}}))
""",
    "node": """
const fs = require('fs'), [app, ...paths] = process.argv.slice(1);
const write = (p) => { try { fs.writeFileSync(p + '/.taskflow-probe', 'x');
  fs.unlinkSync(p + '/.taskflow-probe'); return ''; } catch (e) { return e.code; } };
console.log(JSON.stringify({status: fs.readFileSync('/proc/1/status', 'utf8'),
  mounts: fs.readFileSync('/proc/1/mountinfo', 'utf8'),
  files: Object.fromEntries(paths.filter((p) => fs.existsSync(p)).map((p) => [p, fs.readdirSync(p).length])),
  write: Object.fromEntries(['/', '/etc', '/var/tmp', '/tmp', app, ...paths].map((p) => [p, write(p)]))}));
""",
}
_KEEP = {
    "python": "import sys\nfor p in sys.argv[1:]: open(p,'w').write('kept')\nprint(1)",
    "node": "for(const p of process.argv.slice(1))require('fs').writeFileSync(p,'kept');console.log(1)",
}
_READ = {
    "python": "import json,os,sys\nprint(json.dumps([p for p in sys.argv[1:] if not os.path.exists(p)]))",
    "node": "console.log(JSON.stringify(process.argv.slice(1).filter(p=>!require('fs').existsSync(p))))",
}


@checks("user", "capabilities", "privileges", "file-system", "read-only")
def inside(lab: Lab) -> Iterator[Result]:
    """Ask the container itself, through its own interpreter."""
    model = lab.container
    volumes = {volume.path: volume.access for volume in model.volumes}
    try:
        answer = _asked(lab, volumes)
    except NoInterpreter as reason:
        # What it may do, the kernel tells as well; where it may write, only it itself can try.
        process = lab.running.process()
        answer, why = {"status": process.status() if process else ""}, str(reason)
        if not answer["status"]:
            raise
    status = dict(re.findall(r"^(\w+):\s*(.*)$", answer["status"], re.MULTILINE))
    users, groups = set(status["Uid"].split()), set(status["Gid"].split())
    yield lab.verdict(
        "user", users == {str(model.uid)} and groups == {str(model.gid)},
        limit=f"UID {model.uid}, GID {model.gid}",
        measured=f"UID {status['Uid']}, GID {status['Gid']}".replace("\t", " "),
    )  # fmt: skip
    sets = {key: status.get(key, "?") for key in ("CapPrm", "CapEff", "CapBnd")}
    none = all(re.fullmatch("0+", value) for value in sets.values())
    said = ", ".join(f"{key} {value}" for key, value in sets.items())
    yield lab.verdict("capabilities", none, measured=said)
    if "Seccomp" not in status:
        yield lab.unmeasurable("privileges", "the kernel was built without seccomp")
    else:
        held = status.get("NoNewPrivs"), status["Seccomp"]
        said = f"NoNewPrivs {held[0]}, Seccomp {held[1]}"
        yield lab.verdict("privileges", held == ("1", "2"), measured=said)
    if "write" not in answer:
        for id in ("file-system", *(["read-only"] if Access.READ_ONLY in volumes.values() else [])):
            yield lab.unmeasurable(id, why)
        return
    writable = {"/tmp", *(p for p, access in volumes.items() if access is Access.READ_WRITE)}
    could = {path for path, refusal in answer["write"].items() if not refusal}
    refused = [f"{p}: {why}" for p, why in answer["write"].items() if why and p in writable]
    yield lab.verdict(
        "file-system", could == writable, limit=", ".join(sorted(writable)),
        measured=", ".join(sorted(could)) or "nowhere", detail="; ".join(refused),
    )  # fmt: skip
    yield from _read_only(lab, answer, [p for p, a in volumes.items() if a is Access.READ_ONLY])


def _asked(lab: Lab, volumes: Mapping[str, Access]) -> dict[str, Any]:
    """What the probe says: within the container, or in one of its own where that ends by itself."""
    if lab.container.kind is not Kind.CRON:
        return dict(lab.running.evaluate(_PROBE, _APP, *volumes))
    program, option = lab.container.interpreter
    # Without a source the engine makes a volume that goes with the container.
    mounts = [
        f"--mount=type=volume,dst={path}{',readonly' if access is Access.READ_ONLY else ''}"
        for path, access in volumes.items()
    ]
    words = [program, option, _PROBE[program], _APP, *volumes]
    return dict(json.loads(lab.stack.once(lab.target, words, *mounts).stdout))


def _read_only(lab: Lab, answer: dict[str, Any], paths: list[str]) -> Iterator[Result]:
    """Whether each read-only volume is mounted so, and holds what the image has there."""
    mounts = {line.split()[4]: line.split()[5] for line in answer["mounts"].splitlines()}
    said, faulty = [], False
    for path in paths:
        really = "ro" in mounts.get(path, "").split(",") and bool(answer["write"][path])
        files = answer["files"].get(path, 0)
        faulty |= not really or not files
        said.append(f"{path} {'read-only' if really else 'writable'}, {files} entries")
    if said:
        yield lab.verdict("read-only", not faulty, measured="; ".join(said))


def kept_files(running: Running) -> list[str]:
    """Where `keep` leaves its files: one in each volume that may be written."""
    volumes = running.container.volumes
    return [f"{v.path}/{_TOKEN_FILE}" for v in volumes if v.access is Access.READ_WRITE]


def keep(running: Running) -> str:
    """Leave a file in each read-write volume; why that could not be done, "" where it was."""
    try:
        if paths := kept_files(running):
            running.evaluate(_KEEP, *paths)
    except NoInterpreter as reason:
        return str(reason)
    except EnvironmentTrouble:
        if running.state().get("Running"):
            return "nothing can be written into the volume"
        raise
    return ""


def data(lab: Lab, running: Running, unkept: str) -> Iterator[Result]:
    """Whether what `keep` left is still there; `unkept` says why it left nothing."""
    if unkept:
        yield lab.unmeasurable("data", unkept)
    elif paths := kept_files(running):
        lost = running.evaluate(_READ, *paths)
        said = f"lost: {', '.join(lost)}" if lost else "kept"
        yield lab.verdict("data", not lost, measured=said)


# What the engine itself puts into a container, and what it does to folders on the way to a mount.
_ENGINES_OWN = re.compile(
    r"/(dev|proc|sys|tmp)(/.*)?|/etc(/(hosts|hostname|passwd|group|resolv\.conf|mtab))?|/run(/(\.containerenv|secrets)(/.*)?)?"
)


def diff(lab: Lab, running: Running) -> Iterator[Result]:
    """What a container with a writable root has changed."""
    changes = lab.engine.call("diff", running.handle).stdout.split("\n")
    image = lab.engine.require_image_config(lab.target.image)
    volumes = [*(image.get("Volumes") or {}), *(v.path for v in lab.container.volumes)]
    written = []
    for line in filter(None, changes):
        kind, _, path = line.partition(" ")
        within = any(
            v == path or v.startswith(f"{path}/") or path.startswith(f"{v}/") for v in volumes
        )
        if not (_ENGINES_OWN.fullmatch(path) or within or path == "/"):
            written.append(f"{kind} {path}")
    # A folder is reported as changed when something in it was: name the things only.
    written = [
        line for line in written
        if line[0] != "C" or not any(other[2:].startswith(f"{line[2:]}/") for other in written)
    ]  # fmt: skip
    yield lab.verdict("diff", not written, measured=", ".join(written[:5]) or "empty")
