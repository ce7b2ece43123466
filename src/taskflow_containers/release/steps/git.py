"""The steps of a release that git sees: commit, gate, branch, tag and push."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from taskflow_containers.engine.builder import EPOCH_VARIABLE
from taskflow_containers.engine.find import CHOICE_VARIABLE
from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode, Refused, TaskflowError
from taskflow_containers.machine.process import last_line, stream
from taskflow_containers.machine.tools import gate_python, own_copy
from taskflow_containers.release import changelog, signing, versionfiles
from taskflow_containers.release.git import as_stored
from taskflow_containers.release.plan import PLATFORM_VARIABLE
from taskflow_containers.release.proposal import read
from taskflow_containers.release.provenance import builder
from taskflow_containers.release.pushing import refusal
from taskflow_containers.release.state import GateVerdict, ReleasedImage
from taskflow_containers.release.step import OpenRelease, Step, sha256
from taskflow_containers.release.tagging import require_labels
from taskflow_containers.release.versions import Version
from taskflow_containers.report import REPORTS


class GateFailed(TaskflowError):
    """Lint, build, scan or smoke found something; nothing was released."""

    exit_code = ExitCode.CHECK_FAILED


class Prepare(Step):
    """The release commit, made in a checkout of its own: no ref points to it yet."""

    id = "prepare"

    def describe(self) -> tuple[str, str]:
        if self.plan.way in {"publish", "tagged"}:
            return (
                f"take {self.plan.base[:7]}: {self.plan.version} is in its files",
                self.plan.reason,
            )
        files = ", ".join([*self.plan.files, changelog.FILE_NAME])
        return f"commit {self.plan.version}: {files}", self.plan.reason

    def do(self) -> None:
        if self.plan.way in {"publish", "tagged"}:
            text = read(self.repository, self.plan.base, changelog.FILE_NAME)
            self.release.file("notes.md", changelog.body(text, self.plan.version))
            self.state.commit = self.plan.base
        else:
            with self.release.checkout(self.plan.base) as tree:
                self.state.commit = self._commit(tree)

    def _commit(self, tree: Path) -> str:
        """Write the version and the changelog there, and commit both."""
        release, plan, here = self.release, self.plan, as_stored(tree)
        versionfiles.write(tree, plan.files, release.version)
        path = tree / changelog.FILE_NAME
        old = path.read_bytes().decode("utf-8") if path.is_file() else ""
        since = Version.parse(plan.previous) if plan.previous else None
        commits = self.repository.commits(since, plan.base)
        new, notes = changelog.with_release(
            old, release.version, f"{datetime.now(UTC):%Y-%m-%d}", commits,
            source=plan.product.source, pending=plan.pending,
        )  # fmt: skip
        path.write_bytes(new.encode("utf-8"))
        release.file("notes.md", notes)
        named = [*plan.files, changelog.FILE_NAME]
        here.obey("add", "--", *named)
        message = f"chore(release): {plan.version}"
        if folder := here.folder:
            message = f"chore(release): {Path(folder).name} {plan.version}"
        here.obey("commit", "--quiet", "--message", message, "--", *named)
        touched = here.git("diff", "--name-only", plan.base, "HEAD").splitlines()
        if extra := set(touched) - {f"{here.folder}{name}" for name in named}:
            raise Refused(
                f"a commit hook added {', '.join(sorted(extra))} to the release",
                "a release commit holds versions and changelog only: mend the hook",
            )
        signing.require(here, "commit", here.head)
        return here.head

    def broken(self) -> str:
        found = self.repository.commit(self.state.commit)
        return "" if found else f"the commit {self.state.commit[:12]} is gone"


class Gate(Step):
    """Lint, build, scan and smoke of the very commit that will be tagged."""

    id = "gate"

    def describe(self) -> tuple[str, str]:
        names = ", ".join(_name(command) for command in self.plan.product.gate)
        return f"in a checkout of that commit: {names}", "what is released is what passed"

    def do(self) -> None:
        release, has_images = self.release, bool(self.plan.product.images)
        python = (
            gate_python(release.root, self.plan.product.files.tools)
            if has_images
            else Path(sys.executable)
        )
        # Builds that can be repeated take the time from it: the commit's, whenever they run.
        time = self.repository.git("log", "-1", "--no-show-signature", "--format=%ct",
                                   self.state.commit)  # fmt: skip
        env = {"NO_COLOR": "1", EPOCH_VARIABLE: time}
        if python != Path(sys.executable):
            env["PYTHONPATH"] = str(own_copy(release.root))
        env |= {CHOICE_VARIABLE: self.plan.engine} if self.plan.engine else {}
        reports: dict[str, Any] = {}
        with release.checkout(self.state.commit) as tree:
            folder = tree / REPORTS
            for words in self.plan.product.gate:
                name = _name(words)
                release.say(f"{name} …")
                code, output = stream([python, *words], lambda _: None, cwd=tree, env=env)
                if code == ExitCode.CHECK_FAILED:
                    release.say(output)
                    raise GateFailed(f"{name} failed, see above", "mend it, commit, release again")
                if code:
                    for details in folder.glob("*-error.txt"):
                        release.file(details.name, details.read_text("utf-8", errors="replace"))
                    said = [line for line in output.splitlines() if line.startswith(f"{name}: ")]
                    why = said[-1] if said else f"{name}: {last_line(output)}"
                    raise EnvironmentTrouble(why, "mend that")
                if has_images:
                    reports[name] = json.loads((folder / f"{name}.json").read_text("utf-8"))
            sboms = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("sbom-*"))}
        for name, text in sboms.items():
            release.file(name, text)
        state = self.state
        state.builder = builder()
        state.images = self._images([report["images"] for report in reports.values()])
        state.verdicts = {name: _verdict(report) for name, report in reports.items()}
        state.sbom = {name: sha256(text.encode()) for name, text in sboms.items()}

    def _images(self, seen: list[dict[str, str]]) -> dict[str, ReleasedImage]:
        """The images that every report speaks of; raises Refused where they are not one release."""
        found = {}
        for name, repository in self.plan.product.images.items():
            ids = {images[f"{repository}:dev"] for images in seen if images}
            image = ids.pop()
            if ids:
                raise Refused(f"{name} was built twice meanwhile", "let nothing else build it")
            labelled = partial(require_labels, self.release.engine, image, name,
                               self.plan.version, self.state.commit)  # fmt: skip
            stated = self.plan.product.platforms
            parts = {part: labelled(part)["Manifest"] for part in stated if len(stated) > 1}
            platform = labelled()["Platform"]
            if platform not in self.plan.platform.split(", "):
                raise Refused(
                    f"the image of {name} is for {platform}, and the plan was for {self.plan.platform}",
                    f"{PLATFORM_VARIABLE}, the builder or its Dockerfile's FROM --platform says so",
                )
            found[name] = ReleasedImage(
                id=image, repository=repository, platform=platform, platforms=parts
            )
        return found

    def broken(self) -> str:
        gone = [
            name
            for name, image in self.state.images.items()
            if self.release.engine.image_config(image.id) is None
        ]
        where = "was DOCKER_HOST or DOCKER_CONTEXT another when it was tested?"
        return f"the tested image of {', '.join(gone)} is gone ({where})" if gone else ""


def _name(command: Sequence[str]) -> str:
    """What a command of the gate is called: its last word that is no option."""
    return [word for word in command if not word.startswith("-")][-1]


def _verdict(report: dict[str, Any]) -> GateVerdict:
    results = report["results"]
    unseen = {"skipped", "not measurable"}
    left_out = [f"{r['title']}: {r['detail']}" for r in results if r["status"] in unseen]
    passed = sum(result["status"] == "passed" for result in results)
    waived = [f"{r['title']}: {text}" for r in results for text in r.get("waived", ())]
    return GateVerdict(verdict=report["verdict"], passed=passed, skipped=left_out, waived=waived)


class Branch(Step):
    """The branch moves to the release commit."""

    id = "branch"

    def describe(self) -> tuple[str, str]:
        return f"move {self.plan.branch} to it", "a fast-forward; only those files change"

    def do(self) -> None:
        commit, branch = self.state.commit, self.plan.branch
        if self.repository.contains(commit, "HEAD"):
            return
        if (self.repository.branch, self.repository.head) != (branch, self.plan.base):
            raise Refused(
                f"{branch} moved meanwhile (planned at {self.plan.base[:7]})",
                "release again: what was added belongs into the release",
            )
        self.repository.obey("merge", "--ff-only", "--quiet", "--no-verify-signatures", commit)

    def broken(self) -> str:
        found = self.repository.contains(self.state.commit, self.plan.branch)
        return "" if found else f"{self.plan.branch} no longer has the release commit"

    def undo(self) -> list[str]:
        commit, branch = self.state.commit, self.plan.branch
        if not commit or not self.repository.contains(commit, branch):
            return []
        if (self.repository.branch, self.repository.head) != (branch, commit):
            return [f"the commit {commit[:12]}, as {branch} moved on: git revert {commit[:12]}"]
        self.repository.obey("reset", "--quiet", "--keep", self.plan.base)
        return []


class Tag(Step):
    """The annotated tag, signed where git's settings ask for it."""

    id = "tag"

    def describe(self) -> tuple[str, str]:
        return f"tag it {self.plan.tag}", "annotated; signed where tag.gpgSign is set"

    def do(self) -> None:
        there = self.repository.commit(self.plan.tag)
        if there and there != self.state.commit:
            raise Refused(f"{self.plan.tag} is there already, at {there[:7]}", "see who made it")
        if not there:
            message = f"{self.plan.tag}\n\n{(self.release.folder / 'notes.md').read_text('utf-8')}"
            self.repository.obey("tag", "--annotate", "--cleanup=verbatim", "--message", message,
                                 self.plan.tag, self.state.commit)  # fmt: skip
        signing.require(self.repository, "tag", self.plan.tag)

    def broken(self) -> str:
        there = self.repository.commit(self.plan.tag)
        return "" if there == self.state.commit else f"{self.plan.tag} is gone or elsewhere"

    def undo(self) -> list[str]:
        if self.state.commit and not self.broken():
            self.repository.obey("tag", "--delete", self.plan.tag)
        return []


class Push(Step):
    """Branch and tag reach the remote together, or neither does."""

    id = "push"
    public = True

    def describe(self) -> tuple[str, str]:
        if self.plan.way == "publish":
            return f"git push {self.plan.remote} {self.plan.tag}", "the branch has the commit"
        what = f"git push --atomic {self.plan.remote} {self.plan.branch} {self.plan.tag}"
        return what, "the remote has both or neither"

    def _there(self) -> tuple[bool, bool]:
        """Whether the remote has the branch with the commit, and the tag."""
        commit, refs = self.state.commit, self.repository.remote(self.plan.remote).refs
        tag = refs.get(f"refs/tags/{self.plan.tag}") == commit
        tip = refs.get(f"refs/heads/{self.plan.branch}", "")
        # A tip that is unknown here was pushed on top: tag and branch arrived as one.
        on_top = tag and not self.repository.commit(tip)
        merged = self.plan.way == "publish"
        return merged or on_top or self.repository.contains(commit, tip), tag

    def do(self) -> None:
        self.patiently(self._push)

    def _push(self) -> None:
        if all(self._there()):
            return
        plan, refs = self.plan, [f"refs/tags/{self.plan.tag}"]
        if plan.way == "direct":
            refs.insert(0, f"{self.state.commit}:refs/heads/{plan.branch}")
        if not (error := push(self.release, refs, plan.branch)):
            return
        if isinstance(error, Refused) and any(self._there()) and plan.way == "direct":
            error = EnvironmentTrouble(error.message, f"one of the two is at {plan.remote} already")
        raise error

    def broken(self) -> str:
        return "" if all(self._there()) else f"{self.plan.remote} no longer has branch and tag"

    def undo(self) -> list[str]:
        remote, tag = self.plan.remote, self.plan.tag
        names = [f"the commit at {remote}/{self.plan.branch}: git pull, git revert",
                 f"{tag} at {remote}: git push {remote} :refs/tags/{tag}"]  # fmt: skip
        try:
            there = self._there()
        except TaskflowError as error:
            return [f"perhaps branch and tag at {remote}: {error.message}"]
        # What a pull request merged is not this release's to revert.
        merged = self.plan.way == "publish"
        return [name for name, is_there in [*zip(names, there, strict=True)][merged:] if is_there]


class Propose(Step):
    """The release commit reaches the remote on a branch of its own, for a pull request."""

    id = "propose"
    public = True

    def describe(self) -> tuple[str, str]:
        what = f"git push {self.plan.remote}, to the branch {self.plan.proposal}"
        return what, f"once it is merged into {self.plan.branch}, `invoke release` publishes it"

    def _there(self) -> bool:
        """Whether the remote has the branch with the commit."""
        refs = self.repository.remote(self.plan.remote).refs
        tip = refs.get(f"refs/heads/{self.plan.proposal}", "")
        return bool(tip) and self.repository.contains(self.state.commit, tip)

    def do(self) -> None:
        self.patiently(self._push)

    def _push(self) -> None:
        refs = [f"{self.state.commit}:refs/heads/{self.plan.proposal}"]
        if not self._there() and (error := push(self.release, refs, self.plan.proposal)):
            raise error

    def broken(self) -> str:
        return "" if self._there() else f"{self.plan.remote} has no {self.plan.proposal} with it"

    def undo(self) -> list[str]:
        remote, branch = self.plan.remote, self.plan.proposal
        try:
            there = self._there()
        except TaskflowError as error:
            return [f"perhaps {branch} at {remote}: {error.message}"]
        return [f"{branch} at {remote}: git push {remote} --delete {branch}"] if there else []


def push(release: OpenRelease, refs: Sequence[str], branch: str) -> TaskflowError | None:
    """Push these together, or none of them; why that failed."""
    remote = release.plan.remote
    done = release.repository.ask("push", "--atomic", "--porcelain", remote, *refs)
    if done.returncode:
        return refusal(done.stderr + done.stdout, remote, branch, release.plan.tag)
    for line in done.stderr.splitlines():
        if line.startswith("remote:") and "://" in line:  # where a pull request is made
            release.say(line.rstrip())
    return None
