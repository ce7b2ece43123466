"""What GitHub's and GitLab's runners do with the jobs of a CI file, as far as this machine can do it.

What runs is the file's own: each `run:` or `script:` in order, in a clean clone, with the variables that the
runner sets. What comes from elsewhere (`uses:`, `image:`, `services:`) is stood in for by what it does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import git

DOCKER = """#!/bin/sh
# BuildKit in a container of its own is an image of its own; the engine's BuildKit stands in for it.
case "$1 $2" in
"buildx create"|"context create") echo "docker $*" >> {asked} ;;
*) exec {docker} "$@" ;;
esac
"""


def machine(folder: Path, docker: str | Path) -> Path:
    """A runner's own programs, first on its PATH: a fresh Python, apt-get and docker."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    asked = folder / "asked"
    for name, text in {
        "apt-get": f'#!/bin/sh\necho apt-get "$@" >> {asked}\n',
        "docker": DOCKER.format(asked=asked, docker=docker),
    }.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return folder


class Runner:
    """A machine that takes jobs: `folder` holds its clones, `env` what every process has.

    `artifacts` are the uploaded paths of each job, by the artefact's name.
    """

    def __init__(self, folder: Path, origin: Path, env: Mapping[str, str]) -> None:
        self.folder, self.origin, self.env = folder, origin, dict(env)
        self.clone = folder
        self.artifacts: dict[str, Path] = {}
        self.summary = folder / "summary.md"
        folder.mkdir()

    def checkout(self, ref: str, *depth: str) -> None:
        """A clean clone at a branch or tag."""
        words = ("--quiet", *depth, "--branch", ref, self.origin.as_uri(), str(self.clone))
        git(self.folder, "clone", *words)

    def jobs(self, file: str, ref: str) -> dict[str, Any]:
        """What the CI file says at this branch or tag."""
        found: dict[str, Any] = yaml.safe_load(git(self.origin, "show", f"{ref}:{file}"))
        return found

    def bash(self, text: str, env: Mapping[str, str], *options: str) -> None:
        """Run lines in the clone; they must succeed."""
        script = self.folder / "script.sh"
        script.write_text(text, "utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", *options, script], cwd=self.clone, check=False,
            env=self.env | dict(env), capture_output=True, text=True, timeout=1200, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"

    def keep(self, name: str, pattern: str) -> None:
        """What is uploaded has to be there: a path or a pattern of paths, none of them empty."""
        found = list(self.clone.glob(pattern.rstrip("/")))
        assert found, f"{name}: {pattern} was not made"
        for path in found:
            assert path.is_file() or any(path.iterdir()), f"{path} is empty"
            self.artifacts.setdefault(name, path)


class Github(Runner):
    """GitHub's: `context` is what expressions read; secrets and variables that nobody set are empty."""

    def __init__(
        self, folder: Path, origin: Path, env: Mapping[str, str], context: dict[str, Any]
    ) -> None:
        super().__init__(folder, origin, env)
        self.context = {"steps": {}} | context

    def run(self, file: str, job: str, matrix: Mapping[str, str] | None = None) -> None:
        """Do the job's steps in order, each in a shell of its own."""
        whole = self.jobs(file, self.context["github"]["ref_name"])
        found = whole["jobs"][job]
        self.clone = self.folder / f"{job}-{len(self.artifacts)}"
        self.clone.mkdir()
        self.context |= {"matrix": matrix or {}, "strategy": {"job-index": len(self.artifacts)}}
        self.context["github"]["workspace"] = str(self.clone)
        assert self.holds(found.get("if", True)), f"{file}: {job} would not run"
        outer = {**whole.get("env", {}), **found.get("env", {})}
        later = []
        for step in found["steps"]:
            if not self.holds(step.get("if", True)):
                continue
            if "uses" in step:
                action = step["uses"].partition("@")[0]
                assert action in USES, f"{file}: nothing stands in for {action}"
                words = {key: self.filled(value) for key, value in step.get("with", {}).items()}
                if after := USES[action](self, words):
                    later.append(after)
                self.context["steps"][step.get("id", "")] = {"outputs": {"cache-hit": ""}}
            else:
                env = {
                    key: self.filled(value) for key, value in (outer | step.get("env", {})).items()
                }
                self.step(self.filled(step["run"]), env)
        for after in later:
            after()

    def step(self, text: str, env: dict[str, str]) -> None:
        """One `run:`, with the files that the runner reads when it has ended."""
        github = self.context["github"]
        files = {
            name: self.folder / name
            for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE")
        }
        for path in files.values():
            path.touch()
        names = {
            "CI": "true", "GITHUB_ACTIONS": "true", "RUNNER_OS": "Linux", "RUNNER_TEMP": str(self.folder),
            "GITHUB_WORKSPACE": str(self.clone), "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_WORKFLOW": "CI", **{name: str(path) for name, path in files.items()},
            **{f"GITHUB_{key.upper()}": value for key, value in github.items() if isinstance(value, str) and key != "token"},
        }  # fmt: skip
        self.bash(text, names | env, "-e")

    def holds(self, condition: object) -> bool:
        """Whether an `if:` lets a step run, all before it having succeeded."""
        text = str(condition)
        inner = re.fullmatch(r"\$\{\{(.*)\}\}", text.strip(), re.DOTALL)
        return bool(self.value(inner[1] if inner else text))

    def filled(self, text: object) -> str:
        """A text with the value of each expression in it."""
        if isinstance(text, bool):
            return str(text).lower()
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(self.value(match[1])), str(text))

    def value(self, expression: str) -> Any:
        """What one of GitHub's expressions is; a name that the context lacks is an error."""
        words = {
            "&&": " and ",
            "||": " or ",
            "!": " not ",
            "true": "True",
            "True": "True",
            "false": "False",
        }

        def python(match: re.Match[str]) -> str:
            word = match[0]
            if word in words or not re.match(r"[A-Za-z_]", word) or word in FUNCTIONS:
                return words.get(word, word)
            return f"get({word!r})"

        token = r"'[^']*'|&&|\|\||!=|==|!|[A-Za-z_][\w.-]*"
        text = re.sub(token, python, expression).strip()
        return eval(text, {"__builtins__": {}, "get": self.get, **FUNCTIONS})

    def get(self, name: str) -> Any:
        """What a name like `github.event_name` stands for."""
        head, *parts = name.split(".")
        found = self.context[head]
        for part in parts:
            found = found.get(part, "") if head in {"secrets", "vars"} else found[part]
        return found


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "always": lambda: True,
    "contains": lambda where, what: what in where,
    "format": lambda text, *values: re.sub(r"\{(\d+)\}", lambda match: values[int(match[1])], text),
    "hashFiles": lambda *_: "0" * 64,
}


def checkout(runner: Github, words: Mapping[str, str]) -> None:
    """Clone: every tag and commit where the depth is 0, else the one commit."""
    depth = () if words.get("fetch-depth") == "0" else ("--depth=1", "--no-tags")
    runner.checkout(runner.context["github"]["ref_name"], *depth)


def nothing(*_: object) -> None:
    """The machine has it, or nothing of it is looked at here."""


def cache(runner: Github, words: Mapping[str, str]) -> Callable[[], None]:
    """Nothing is restored; afterwards what would be kept has to be there."""
    builds = "build" in runner.context["matrix"]["sessions"]

    def after() -> None:
        for path in words["path"].split():
            if builds or not path.startswith(".nox/layers"):
                full = Path(path.replace("~", runner.env["HOME"]))
                assert (runner.clone / full).exists(), f"{path} is cached, and not there"

    return after


def upload(runner: Github, words: Mapping[str, str]) -> None:
    """Keep the paths, which have to be there."""
    for path in words["path"].split():
        runner.keep(words["name"], path)


def download(runner: Github, words: Mapping[str, str]) -> None:
    """Bring back what other jobs kept under names of this pattern."""
    stem = words["pattern"].rstrip("*")
    for name, path in runner.artifacts.items():
        if name.startswith(stem):
            target = runner.clone / words["path"] / name
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(path)
    assert any((runner.clone / words["path"]).iterdir())


def upload_sarif(runner: Github, words: Mapping[str, str]) -> None:
    """Take every SARIF file there is, one of each report: each a document with a run of its own category."""
    kept = [*(runner.clone / words["sarif_file"]).iterdir()]
    found = [path for one in kept for path in one.glob("*.sarif")]
    assert {path.stem for path in found} == {p.stem for one in kept for p in one.glob("*.xml")}
    assert found
    categories = []
    for path in found:
        document = json.loads(path.read_text("utf-8"))
        assert document["version"] == "2.1.0"
        (run,) = document["runs"]
        assert run["tool"]["driver"]["name"]
        assert isinstance(run["results"], list)
        categories.append(run["automationDetails"]["id"])
    assert len({*categories}) == len(found)


# What stands in for each action that the workflows use. What an action returns is done when the job has ended.
USES: dict[str, Callable[[Github, Mapping[str, str]], Callable[[], None] | None]] = {
    "actions/checkout": checkout,
    "actions/setup-python": nothing,  # the machine's Python
    "actions/cache": cache,
    "actions/upload-artifact": upload,
    "actions/download-artifact": download,
    "github/codeql-action/upload-sarif": upload_sarif,
    "sigstore/cosign-installer": nothing,  # tests/release/test_attest.py signs; without it a release says so
}
# What stands in for each image and service of GitLab's jobs, by the name without the tag: the machine, its engine.
IMAGES = {
    "python": (),
    "docker": ("DOCKER_HOST", "DOCKER_TLS_CERTDIR", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"),
}


class Gitlab(Runner):
    """GitLab's: before_script and script are one shell's."""

    def run(
        self, file: str, job: str, ref: str, variables: Mapping[str, str],
        prepare: Callable[[Path], None] = nothing,
    ) -> None:  # fmt: skip
        """Do the job's lines in order; its artefacts have to be there. `prepare` changes the clone before."""
        found: dict[str, Any] = self.jobs(file, ref)[job]
        self.clone = self.folder / re.sub(r"\W+", "-", f"{job}-{variables.get('NOXSESSION', '')}")
        depth = found.get("variables", {}).get("GIT_DEPTH", "20")
        self.checkout(ref, *([] if depth == "0" else [f"--depth={depth}"]))
        git(self.clone, "checkout", "--quiet", "--detach")
        prepare(self.clone)
        env = {
            "CI": "true", "GITLAB_CI": "true", "CI_PROJECT_DIR": str(self.clone), "CI_JOB_NAME": job,
            "CI_COMMIT_SHA": git(self.clone, "rev-parse", "HEAD").strip(), "CI_DEFAULT_BRANCH": "main",
            "CI_JOB_URL": "https://gitlab.example/acme/shop/-/jobs/1", "CI_NODE_INDEX": "1", **variables,
        }  # fmt: skip
        assert any(self.holds(rule["if"], env) for rule in found["rules"]), f"{job} would not run"
        stood_in: set[str] = set()
        for image in [found["image"], *(service["name"] for service in found.get("services", ()))]:
            name = image.partition(":")[0]
            assert name in IMAGES, f"{file}: nothing stands in for {image}"
            stood_in |= {*IMAGES[name]}
        for name, text in found.get("variables", {}).items():
            if name not in stood_in:
                env[name] = re.sub(r"\$(\w+)", lambda match: env.get(match[1], ""), text)
        lines = [*found["before_script"], *found["script"]]
        self.bash("\n".join(["set -eo pipefail", *lines]), env)
        kept = found.get("artifacts", {})
        reports = kept.get("reports", {})
        for path in [*kept.get("paths", ()), *reports.values()]:
            self.keep(job, path)
        if name := reports.get("codequality"):  # of which GitLab takes one file from a job
            assert json.loads((self.clone / name).read_text("utf-8")) == []

    def holds(self, condition: str, env: Mapping[str, str]) -> bool:
        """Whether a rule of GitLab's lets the job run."""
        text = re.sub(r"\$(\w+)", lambda match: f"get({match[1]!r}, '')", condition)
        text = re.sub(r"(get\([^)]*\)) =~ /([^/]*)/", r"bool(search(r'\2', \1))", text)
        text = text.replace("&&", " and ").replace("||", " or ")
        return bool(
            eval(text, {"__builtins__": {}, "bool": bool, "get": env.get, "search": re.search})
        )


def runner_env() -> dict[str, str]:
    """This machine's variables without those of a CI, of git or of this tool's own settings but the bases' stand-ins."""
    kept = ("TASKFLOW_SUBSTITUTE_IMAGES",)
    path = [
        one
        for one in os.environ["PATH"].split(os.pathsep)
        if Path(one) != Path(sys.executable).parent
    ]
    return {
        name: value for name, value in os.environ.items()
        if name in kept or not name.startswith(("CI", "GIT", "TASKFLOW_", "PYTHON", "PYTEST", "NOX", "VIRTUAL_ENV"))
    } | {"PATH": os.pathsep.join(path), "GIT_CONFIG_GLOBAL": os.devnull}  # fmt: skip
