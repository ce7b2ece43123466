"""The settings: variables, or files that hold their values; what is wrong is said in one line without the value."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings
from container.settings import Settings as ContainerSettings
from container.settings import explain

VARIABLE = "OPENROUTER_API_KEY"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file that the variable with `_FILE` names, and no variable."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / "key"))
    return tmp_path / "key"


def complaint(make: Callable[[], object] = Settings) -> str:
    with pytest.raises(ValidationError) as raised:
        make()
    return explain(raised.value)


@pytest.mark.parametrize("content", ["secret", "secret\n", "secret\r\n"])
def test_value_from_a_file(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    key = Settings().openrouter_api_key
    assert key is not None
    assert key.get_secret_value() == "secret"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "names a file that cannot be read: No such file or directory"),
        (b"", "names an empty file"),
        (b"\n", "names an empty file"),
        (b"\xff\xfe", "names a file that is not text"),
    ],
)
def test_bad_file(file: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        file.write_bytes(content)
    assert complaint() == f"{VARIABLE}_FILE {reason}"


def test_both(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("secret")
    monkeypatch.setenv(VARIABLE, "other")
    assert complaint() == f"{VARIABLE}_FILE and {VARIABLE} are both set: keep one of them"


def test_an_empty_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{VARIABLE}_FILE", "")
    monkeypatch.setenv(VARIABLE, "secret")
    assert Settings().openrouter_api_key


def container_settings() -> ContainerSettings:
    return ContainerSettings.read(os.environ)


@pytest.mark.parametrize("value", ["*", "10.1.2.3", "10.0.0.0/8,::1, 192.168.0.0/16"])
def test_proxies(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)
    assert container_settings().forwarded_allow_ips == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("frontend", "'frontend' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.0/8,", "'' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("*,10.0.0.1", "'*' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_proxies_nobody_can_be(value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)
    assert complaint(container_settings) == f"FORWARDED_ALLOW_IPS {reason}"


@pytest.mark.parametrize(("value", "path"), [("/shop", "/shop"), ("shop/", "/shop"), ("/", ""), ("", "")])
def test_root_path(value: str, path: str) -> None:
    assert ContainerSettings.read({"ROOT_PATH": value}).root_path == path


@pytest.mark.parametrize("level", ["debug", "Debug", "DEBUG"])
def test_log_level(level: str) -> None:
    assert ContainerSettings.read({"LOG_LEVEL": level}).log_level == "DEBUG"


def test_other_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    monkeypatch.setenv("SHUTDOWN_SECONDS", "0")
    assert complaint(container_settings) == (
        "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'; "
        "SHUTDOWN_SECONDS: Input should be greater than or equal to 1"
    )
