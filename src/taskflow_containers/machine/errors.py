"""Errors that speak to a person: what is wrong, what to do next, and an exit code for scripts."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; the reference documentation is generated from this class."""

    OK = 0
    CHECK_FAILED = 1
    WRONG_INPUT = 2
    NO_ENGINE = 3
    ENVIRONMENT = 4
    INTERNAL = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for the reference documentation."""
        return {
            ExitCode.OK: "every check passed, or the action was done",
            ExitCode.CHECK_FAILED: "a check failed, or nothing could be judged; "
            "the report names it and says what to do",
            ExitCode.WRONG_INPUT: "wrong option, unknown container, or an invalid taskflow.toml",
            ExitCode.NO_ENGINE: "no container engine answers",
            ExitCode.ENVIRONMENT: "the machine is at fault: network, disk, port, or the engine died",
            ExitCode.INTERNAL: "a fault of the tool itself; the message names a file of details",
            ExitCode.INTERRUPTED: "stopped by Ctrl-C or SIGTERM; everything started was removed",
        }[self]


class TaskflowError(Exception):
    """What is wrong (`message`) and what to do next (`hint`), one line each."""

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class InputError(TaskflowError):
    """An option or a file of the project is wrong."""

    exit_code = ExitCode.WRONG_INPUT


class UsageError(InputError):
    """An option or argument is wrong; nothing ran, so the reports of earlier runs still stand."""


class Interrupted(TaskflowError):
    """Ctrl-C or SIGTERM stopped the run."""

    exit_code = ExitCode.INTERRUPTED


class InternalError(TaskflowError):
    """The tool itself has a fault that nobody foresaw."""

    exit_code = ExitCode.INTERNAL


class NoEngineError(TaskflowError):
    """Neither Docker nor Podman answers."""

    exit_code = ExitCode.NO_ENGINE


class EnvironmentTrouble(TaskflowError):
    """The machine, the network or a tool failed; nothing is wrong with the project."""


class EngineGone(EnvironmentTrouble):
    """The container engine stopped answering, so there is no use in asking it for more."""


class RegistryTrouble(EnvironmentTrouble):
    """A registry cannot be reached, or does not give out the image."""


class NoInterpreter(EnvironmentTrouble):
    """An image has no program that runs the code of a check."""


class MachineTrouble(EnvironmentTrouble):
    """The engine, or a helper that runs beside the container, failed; the container did not."""

    def __init__(self, message: str, hint: str = "run the command again") -> None:
        super().__init__(message, hint)


class Refused(TaskflowError):
    """The answer was no; trying again changes nothing."""

    exit_code = ExitCode.CHECK_FAILED
