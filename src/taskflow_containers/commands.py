"""Every command that there is, with its options: for the command line, for nox and for invoke.

Nothing but the standard library is imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib

TYPE_CHECKING = False  # typing alone would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Value = bool | int | str | tuple[str, ...]
    Run = Callable[[Path, argparse.Namespace], int]


class Option:
    """One option; its default says what it takes.

    False: a switch; True: a switch that `--no-…` turns off; a number or text: one value; (): a value
    that may be repeated.
    """

    def __init__(
        self, name: str, help: str, default: Value = False, metavar: str = "",
        choices: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.help, self.default = name, help, default
        self.metavar, self.choices = metavar, choices


class Command:
    """A command: the function that carries it out, or its place as module:name, and what it takes.

    `task` is its name in invoke, empty for what nox alone calls; names of `containers` may follow
    it, an `argument` must unless it has a default.
    """

    def __init__(
        self, name: str, help: str, run: str | Run, options: Sequence[Option] = (), *,
        task: str = "", containers: bool = False, argument: Option | None = None,
    ) -> None:  # fmt: skip
        self.name, self.help, self.run, self.options = name, help, run, options
        self.task, self.containers, self.argument = task, containers, argument

    def function(self) -> Run:
        """Import the function; raises ModuleNotFoundError where a dependency is not installed."""
        if not isinstance(self.run, str):
            return self.run
        module, _, name = self.run.partition(":")
        function: Run = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return function


ENGINE = Option("engine", "docker, podman or a client's path (default: what works)", "", "ENGINE")
NO_CACHE = Option("no-cache", "build every step anew")
PULL = Option("pull", "ask for newer base images")
CONTEXT = Option(
    "context",
    "a context of the kubeconfig (default: the current one, unless it looks like production)",
    "",
    "NAME",
)
IF_CHANGED = Option(
    "if-changed",
    "tell an earlier verdict while nothing that it depends on has changed (or set "
    "TASKFLOW_IF_CHANGED=1)",
)
VERBOSE = Option(
    "verbose",
    "every check in the terminal, with what was expected and measured (or set TASKFLOW_VERBOSE=1)",
)
LOAD = Option(
    "load",
    "a command that puts a tar of images, its last word, into the cluster (or set "
    "TASKFLOW_CLUSTER_LOAD); not needed for the usual local clusters",
    "",
    "COMMAND",
)
SIGNER = (
    Option("key", "the public key that signed (default: [signature] of taskflow.toml)", "", "KEY"),
    Option("identity", "the CI identity that signed, in place of a key", "", "URL"),
    Option("issuer", "who vouches for that identity", "", "URL"),
    Option("transparency-log", "the signature is in Sigstore's public log, too (default: yes)", True),
)  # fmt: skip
# How an image is judged outside any project. What is not said is taken from the image and from defaults.
OUTSIDE = (
    Option("port", "where it serves HTTP (default: what it exposes)", "", "PORT"),
    Option("ready", "the path that answers 200 when it can serve (default: HEALTHCHECK's, or a usual one)",
           "", "PATH"),
    Option("live", "the path that answers 200 while it works (default: a usual one, or --ready)", "", "PATH"),
    Option("memory", "its memory limit, such as 300MB", "", "SIZE"),
    Option("start", "how long it may take until it is ready, such as 2s", "", "TIME"),
    Option("stop", "how long it may take to stop, such as 10s", "", "TIME"),
    Option("env", "a variable that it needs; without a value it is taken from here; may be repeated", (),
           "NAME[=VALUE]"),
    Option("env-file", "further variables, NAME=VALUE a line; may be repeated", (), "FILE"),
    Option("volume", "a folder that it may write to; may be repeated", (), "FOLDER"),
    Option("database", "the variable that takes a database's URL: it is given a PostgreSQL of its own", "",
           "NAME"),
    Option("reports", "where to write the reports (default: nowhere)", "", "FOLDER"),
)  # fmt: skip
SESSIONS = (
    Command(
        "lint", "check Dockerfiles, compose file and code against taskflow.toml; runs no container",
        "sessions:lint", (ENGINE, VERBOSE), containers=True,
    ),
    Command(
        "build", "build the images and judge what came out: user, ports, labels, size",
        "sessions:build", (ENGINE, PULL, NO_CACHE, VERBOSE), containers=True,
    ),
    Command(
        "scan", "scan sources and images, write an SBOM",
        "sessions:scan",
        (
            ENGINE, NO_CACHE,
            Option("offline", "update no vulnerability database; where there is none, say so (or set TASKFLOW_OFFLINE=1)"),
            IF_CHANGED, VERBOSE,
        ),
        containers=True,
    ),
    Command(
        "smoke", "run the images as the cluster will and inject faults",
        "sessions:smoke",
        (
            ENGINE, NO_CACHE,
            Option("list", "name the groups and checks, then end"),
            Option("only", "only these groups or checks", (), "NAME,…"),
            Option("full", "the slow drills too"),
            Option("keep", "leave the stack up for looking around"),
            Option("repeat", "run N times and say which checks flake", 1, "N"),
            IF_CHANGED, VERBOSE,
            Option(
                "image", "judge this image in place of a build; may be repeated. Outside a project, "
                "in a folder without taskflow.toml: judge one image by the options below", (),
                "[CONTAINER=]IMAGE",
            ),
            *OUTSIDE,
        ),
        containers=True,
    ),
    Command(
        "chart", "render the Helm chart in every way and check what comes out", "sessions:chart",
        (VERBOSE,),
    ),
    Command(
        "cluster", "install the chart on a Kubernetes cluster and put it through its drills",
        "sessions:cluster",
        (
            ENGINE, NO_CACHE, CONTEXT, LOAD, VERBOSE,
            Option("values", "a file of values over the chart's own; may be repeated", (), "FILE"),
            Option(
                "drill", "only this drill after the installation; may be repeated", (), "DRILL",
                ("test", "policy", "upgrade", "kill", "database", "drain", "memory", "autoscaling",
                 "cron", "uninstall"),
            ),
            Option("keep", "leave the namespace, and say its name"),
        ),
    ),
)  # fmt: skip
ACTIONS = (
    Command(
        "doctor",
        "say what is missing or outdated on this machine and in this project, and what mends it",
        "doctor.command:doctor", (Option("json", "print it as JSON, for programs"),), task="doctor",
    ),
    Command(
        "update", "bring what a newer version of the template has, and keep what you changed",
        "update.command:update",
        (
            Option("preview", "say what would change and what would conflict, and change nothing"),
            Option("version", "a tag or commit of the template (default: the newest tag)", "", "VERSION"),
            Option("answer", "another answer than the project's; may be repeated", (), "QUESTION=VALUE"),
        ),
        task="update",
    ),
    Command(
        "propose-update",
        "open a pull or merge request with the template's newest version, as a scheduled job does",
        "update.request:propose",
        (
            Option("base", "the branch to merge into (default: CI's, or the one checked out)", "", "NAME"),
            Option("remote", "the git remote (default: origin)", "origin", "NAME"),
            Option("run", "a workflow of GitHub's to start on the new branch", "", "FILE"),
        ),
        task="propose-update",
    ),
    Command(
        "images", "build the images (tag dev, and sha-… when the work tree is clean)",
        "actions:images",
        (
            Option("container", "a name from taskflow.toml; may be repeated (default: all)", (), "NAME"),
            NO_CACHE, PULL, ENGINE,
        ),
        task="build",
    ),
    Command(
        "up", "start everything on this machine, its services included, and wait until it is healthy",
        "actions:up", (Option("build", "build the images first (default: yes)", True), ENGINE),
        task="up",
    ),
    Command(
        "dev", "start everything for development: sources mounted, each change shows at once",
        "actions:dev", (ENGINE,), task="dev",
    ),
    Command(
        "down", "stop what `invoke up` started; the data stays",
        "actions:down",
        (Option("volumes", "remove the data as well, the database's included"), ENGINE),
        task="down",
    ),
    Command(
        "logs", "show what the containers write",
        "actions:logs",
        (
            Option("service", "a name from the compose file (default: all)", "", "NAME"),
            Option("follow", "go on until Ctrl-C"),
            Option("tail", "lines of each, or all (default: 100)", "100", "LINES"),
            ENGINE,
        ),
        task="logs",
    ),
    Command("ps", "list the containers of `invoke up`", "actions:ps", (ENGINE,), task="ps"),
    Command(
        "tag", "give the built images the tags of this commit: release, development and sha-… ones",
        "actions:tag",
        (Option("push", "push them too, from a clean work tree only"), ENGINE),
        task="tag",
    ),
    Command(
        "release",
        "plan, check, build, test, tag and publish a version: git, images and chart as one",
        "actions:release",
        (
            Option("bump", "auto (from the commits since the last tag), major, minor or patch", "auto",
                   "PART"),
            Option("version", "the version itself, X.Y.Z or X.Y.Z-rc.1, in place of --bump", "", "X.Y.Z"),
            Option("dry-run", "stop after printing the plan"),
            Option("push", "publish it; --no-push stops when everything here is done", True),
            Option("pull-request", "propose the release commit on a branch of its own; once it is "
                   "merged, `invoke release` publishes it"),
            Option("tagged", "publish the version whose tag the checked-out commit has, as CI does when a tag is pushed"),
            Option("resume", "go on with an interrupted release"),
            Option("abort", "take an interrupted release back"),
            Option("branch", "release from this branch (default: the remote's default branch)", "",
                   "NAME"),
            Option("remote", "the git remote (default: origin)", "origin", "NAME"),
            Option("yes", "do not ask whether to go on"),
            ENGINE,
        ),
        task="release",
    ),
    Command(
        "sbom-diff", "tell which packages two SBOMs of an image differ in",
        "actions:sbom_diff",
        (
            Option("old", "the .cdx.json or .spdx.json of the one release", "", "FILE"),
            Option("new", "that of the other one", "", "FILE"),
        ),
        task="sbom-diff",
    ),
    Command(
        "verify",
        "check an image in a registry: signature, SBOM, provenance, labels, and that it was tested",
        "sessions:verify", SIGNER, task="verify",
        argument=Option("image", "the image, name:tag or name@sha256:…"),
    ),
    Command(
        "policy", "print the Kyverno policy that admits only images which `verify` would accept",
        "actions:policy", SIGNER, task="policy",
    ),
    Command(
        "deploy", "build the images and install the chart with them on a cluster, until all is ready",
        "actions:deploy",
        (
            CONTEXT,
            Option("namespace", "where to install (default: the context's)", "", "NAME"),
            Option("release", "the release's name (default: the project's)", "", "NAME"),
            Option("values", "a file of values; may be repeated (default: values-dev.yaml of the chart)", (),
                   "FILE"),
            LOAD, ENGINE,
        ),
        task="deploy",
    ),
    Command(
        "chart-readme", "write the table of values in the chart's README.md anew, from its values.yaml",
        "actions:chart_readme", task="chart-readme",
    ),
    Command(
        "clean", "remove reports, tool environments and kept smoke stacks (nothing that is committed)",
        "actions:clean",
        (
            Option("images", "remove the dev images too"),
            Option("cache", "remove the engine's build cache too"),
            ENGINE,
        ),
        task="clean",
    ),
)  # fmt: skip
# For a folder that is no project yet.
ADOPT = Command(
    "adopt",
    "add containers to an application that was there before; none of its files is changed",
    "adopt.command:adopt",
    (
        Option("dry-run", "say what was found and what would be added, then end"),
        Option("yes", "take the guesses, and do not ask"),
        Option("data", "the answer to project_name, registry or ci; may be repeated", (), "QUESTION=ANSWER"),
        Option("template", "the template's repository or folder (default: where this tool is from)", "",
               "URL"),
    ),
    argument=Option("folder", "the repository (default: the current folder)", "."),
)  # fmt: skip
COMMANDS = {command.name: command for command in (*SESSIONS, *ACTIONS, ADOPT)}
