"""Who the container is while it runs, and where it may write."""

from __future__ import annotations

import re
from collections.abc import Iterator

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.project.model import Access
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.catalogue import unmeasurable, verdict
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.stack import Running

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
def inside(lab: Lab, name: str) -> Iterator[Result]:
    """Ask the container itself, through its own interpreter."""
    running = lab.alive[name]
    model = running.model
    volumes = {volume.path: volume.access for volume in model.volumes}
    answer = running.evaluate(_PROBE, _APP, *volumes)
    status = dict(re.findall(r"^(\w+):\s*(.*)$", answer["status"], re.MULTILINE))
    yield verdict(
        "user",
        name,
        set(status["Uid"].split()) == {str(model.uid)}
        and set(status["Gid"].split()) == {str(model.gid)},
        limit=f"UID {model.uid}, GID {model.gid}",
        measured=f"UID {status['Uid']}, GID {status['Gid']}".replace("\t", " "),
    )
    sets = {key: status.get(key, "?") for key in ("CapPrm", "CapEff", "CapBnd")}
    yield verdict(
        "capabilities",
        name,
        all(re.fullmatch("0+", value) for value in sets.values()),
        measured=", ".join(f"{key} {value}" for key, value in sets.items()),
    )
    if "Seccomp" not in status:
        yield unmeasurable("privileges", name, "the kernel was built without seccomp")
    else:
        yield verdict(
            "privileges",
            name,
            status.get("NoNewPrivs") == "1" and status["Seccomp"] == "2",
            measured=f"NoNewPrivs {status.get('NoNewPrivs')}, Seccomp {status['Seccomp']}",
        )
    writable = {"/tmp", *(p for p, access in volumes.items() if access is Access.READ_WRITE)}
    could = {path for path, refusal in answer["write"].items() if not refusal}
    yield verdict(
        "file-system",
        name,
        could == writable,
        limit=", ".join(sorted(writable)),
        measured=", ".join(sorted(could)) or "nowhere",
        detail="; ".join(
            f"{p}: {why}" for p, why in answer["write"].items() if why and p in writable
        ),
    )
    mounts = {line.split()[4]: line.split()[5] for line in answer["mounts"].splitlines()}
    said = []
    faulty = False
    for path, access in volumes.items():
        if access is Access.READ_ONLY:
            really = "ro" in mounts.get(path, "").split(",") and bool(answer["write"][path])
            files = answer["files"].get(path, 0)
            faulty |= not really or not files
            said.append(f"{path} {'read-only' if really else 'writable'}, {files} entries")
    if said:
        yield verdict("read-only", name, not faulty, measured="; ".join(said))


def kept_files(running: Running) -> list[str]:
    """Where `keep` leaves its files: one in each volume that may be written."""
    return [
        f"{volume.path}/{_TOKEN_FILE}"
        for volume in running.model.volumes
        if volume.access is Access.READ_WRITE
    ]


def keep(running: Running) -> bool:
    """Leave a file in each read-write volume; whether that could be done."""
    try:
        if paths := kept_files(running):
            running.evaluate(_KEEP, *paths)
    except EnvironmentTrouble:
        if running.state().get("Running"):
            return False
        raise
    return True


def data(running: Running, kept: bool) -> Iterator[Result]:
    """Whether what `keep` left is still there."""
    if not kept:
        yield unmeasurable("data", running.name, "nothing can be written into the volume")
    elif paths := kept_files(running):
        lost = running.evaluate(_READ, *paths)
        yield verdict(
            "data", running.name, not lost, measured=f"lost: {', '.join(lost)}" if lost else "kept"
        )


# What the engine itself puts into a container, and what it does to folders on the way to a mount.
_ENGINES_OWN = re.compile(
    r"/(dev|proc|sys|tmp)(/.*)?|/etc(/(hosts|hostname|passwd|group|resolv\.conf|mtab))?|/run(/(\.containerenv|secrets)(/.*)?)?"
)


def diff(lab: Lab, running: Running) -> Iterator[Result]:
    """What a container with a writable root has changed."""
    changes = lab.engine.call("diff", running.handle).stdout.split("\n")
    image = lab.engine.require_image_config(lab.images[running.name])
    volumes = [*(image.get("Volumes") or {}), *(v.path for v in running.model.volumes)]
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
    yield verdict("diff", running.name, not written, measured=", ".join(written[:5]) or "empty")
