"""What trivy, with the rules of this project, takes for a secret in an image and in the sources."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks import secrets
from taskflow_containers.engine.archive import opened
from taskflow_containers.machine.errors import EnvironmentTrouble
from tests.tool.test_layers import archive

EDGE = "-" * 5
# Assembled here, so that this file holds no secret that a scanner would find.
TOKEN = "ghp_" + "a1" * 18
GOOGLE = "AIza" + "a1" * 17 + "x"


def pem(kind: str, size: int, newline: str = "\n", head: str = "") -> str:
    """A key of so many bytes, as openssl and ssh-keygen write it."""
    text = base64.b64encode(random.Random(size).randbytes(size)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    before = [head, ""] if head else []
    return newline.join([f"{EDGE}BEGIN {kind}{EDGE}", *before, *lines, f"{EDGE}END {kind}{EDGE}"])


KEYS = {
    "one line": pem("PRIVATE KEY", 48),  # Ed25519
    "Windows lines": pem("PRIVATE KEY", 1217, "\r\n"),
    "EC": pem("EC PRIVATE KEY", 121),
    "encrypted": pem("RSA PRIVATE KEY", 1190, head="Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00"),
    "SSH": pem("OPENSSH PRIVATE KEY", 300),
    "PGP": pem("PGP PRIVATE KEY BLOCK", 600, head="Version: 1"),
    "service account": json.dumps({"type": "service_account", "private_key": pem("PRIVATE KEY", 1217)}),
}  # fmt: skip
TOKENS = [
    TOKEN,
    *(f"gh{kind}_" + "a1" * 18 for kind in "ousr"),
    "github_pat_" + "a1" * 11 + "_" + "a1" * 29 + "a",
    "glpat-" + "a1" * 10,
    "npm_" + "a1" * 18,
    "//registry.example/:_authToken=" + "0f" * 16,
    "pypi-AgEIcHlwaS5vcmc" + "a1" * 30,
    "dckr_pat_" + "a1" * 13 + "x",
    "AKIA" + "B2" * 8,
    "ASIA" + "B2" * 8,
    "aws_secret_access_key = " + "a1B/" * 10,
    "sk_live_" + "4a" * 14,
    "rk_live_" + "4a" * 14,
    "SG." + "a1" * 11 + "." + "b2" * 21 + "x",
    "xoxb-" + "1234567890-" + "abcdefghij1234",
    "sk-or-v1-" + "0f" * 32,
    "sk-ant-api03-" + "a1" * 40,
    "sk-proj-" + "a1B2" * 12,
    "sk-" + "a1B2" * 12,
    "PGPASSWORD npg_" + "x7" * 6,
    "hf_" + "aB" * 17,
    "napi_" + "a1" * 11,
    "postgresql://app:npg_" + "x7" * 6 + "@ep-a.neon.example/db",
    f"eyJ{'a1' * 8}.eyJ{'b2' * 8}.{'c3' * 8}",
]


def found(folder: Path, output: Path) -> dict[str, str]:
    """The files that hold a secret, and what trivy says of them."""
    answer, error = secrets.search(folder, output)
    assert not error
    return {
        t["Target"]: json.dumps(t["Secrets"]) for t in answer.get("Results", ()) if t.get("Secrets")
    }


def in_image(folder: Path, files: dict[str, str], **config: Any) -> dict[str, str]:
    """As `found`, of an image that holds these files and this config."""
    with opened(archive(folder / "image.tar", files, **config)) as saved:
        secrets.unpack(saved, folder / "image", ())
    return found(folder / "image", folder / "found.json")


def test_secrets_in_files_are_found(tmp_path: Path) -> None:
    texts = {f"app/key-{name}.txt": text for name, text in KEYS.items()}
    texts |= {f"app/token-{number}.txt": text for number, text in enumerate(TOKENS)}
    texts |= {"app/google.txt": GOOGLE, "app/node_modules/a/index.js": f'const a = "{TOKEN}";'}
    unusual = ("tests/test_a.py", "a.md", "example/a", ".git/config", "vendor/a.js", "locales/a.ts")
    texts |= {f"app/{name}": f"a = '{TOKEN}'" for name in unusual}
    assert in_image(tmp_path, texts).keys() == {f"layer-1/{name}" for name in texts}


def test_what_only_looks_like_a_secret_passes(tmp_path: Path) -> None:
    texts = {
        "app/parser.py": f"if line == '{EDGE}BEGIN PRIVATE KEY{EDGE}':",
        "app/certificate.pem": pem("CERTIFICATE", 800),
        "app/public.pem": pem("PUBLIC KEY", 300),
        "app/short.txt": "ghp_short npm_config_update_notifier=false",
        "app/documented.txt": "AKIAIOSFODNN7" + "EXAMPLE",
        "app/local.txt": "postgresql://me:word@database:5432/app",
        # The keys that a library tests itself with.
        "usr/lib/libtls.so": "\x7fELF\x02\x00" + pem("RSA PRIVATE KEY", 1190),
        "app/.next/static/chunks/a.js": f'apiKey:"{GOOGLE}"',
    }
    assert in_image(tmp_path, texts) == {}


IN_CONFIG: list[dict[str, Any]] = [
    {"history": "RUN /bin/sh -c curl https://me:zebra@host/x"},
    {"history": f"RUN |1 WHO={TOKEN} /bin/sh -c npm ci # buildkit"},
    {"env": "ORIGIN=https://me:zebra@host"},
    {"env": "CACHE=redis://:zebra@cache:6379"},
    {"env": f"X={TOKEN}"},
    {"env": "DB_PASS=zebrazebrazebra"},
    {"env": "GITHUB_PAT=zebrazebrazebra"},
    {"env": "SIGNING_KEYS=zebrazebrazebra"},
    {"env": f"NEXT_PUBLIC_X={TOKEN}"},
    {"env": f"FIREBASE={GOOGLE}"},
    {"labels": {"note": TOKEN}},
    {"labels": {"note": KEYS["EC"]}},
]
NOT_IN_CONFIG: list[dict[str, Any]] = [
    {"history": "|2 TITLE=Shop REQUEST_TOKEN=5 /bin/sh -c make TOKENIZER=fast"},
    {"history": "RUN /bin/sh -c DATABASE_URL=postgresql://x:x@localhost/x npm run build"},
    {"history": "RUN /bin/sh -c curl https://me:${TOKEN}@host/x"},
    {"env": "NEXT_PUBLIC_MAPBOX_TOKEN=pk.abc"},
    {"env": "NEXT_PUBLIC_MAPBOX_TOKEN=pk.eyJ1IjoiYWNtZSIsImEiOiJjbGFi"},
    {"env": "API_TOKEN_FILE=/run/secrets/api-token"},
    {"env": "OLDPWD=/usr/local/share/application"},
    {"env": "MAX_TOKENS=4096000000000"},
    {"env": f"NEXT_PUBLIC_FIREBASE_API_KEY={GOOGLE}"},
    {"env": "STRIPE_KEY=pk_live_" + "4a" * 14},
]


def test_secrets_in_the_config_are_found_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for number, config in enumerate([*IN_CONFIG, *NOT_IN_CONFIG]):
        with opened(archive(tmp_path / f"{number}.tar", {}, **config)) as saved:
            secrets.unpack(saved, tmp_path / "all" / str(number), ())
    said = found(tmp_path / "all", tmp_path / "found.json")
    assert said.keys() == {f"{number}/image-config.json" for number in range(len(IN_CONFIG))}
    words = "".join(said.values())
    assert not [word for word in ("zebra", TOKEN, GOOGLE) if word in words]


def test_a_password_in_the_sources_is_found(tmp_path: Path) -> None:
    """Of a build stage nothing but its text is left."""
    for name, line in {
        "a/Dockerfile": "RUN pip install -i https://me:zebra@pypi.example/simple x",
        "b/Dockerfile": f'RUN fetch -H "Authorization: Bearer {"a1" * 18}" x',
        "c/Dockerfile": f"COPY <<EOF /x\n//host/:_authToken={'0f' * 16}\nEOF",
        "d/Dockerfile": 'RUN fetch -H "Authorization: Bearer $(cat /run/secrets/token)" x',
        "e/Dockerfile": "ARG NEXT_PUBLIC_MAPBOX_TOKEN=pk.abc",
        "taskflow.toml": 'arguments = { INDEX = "https://me:zebra@pypi.example/simple" }',
        "compose.yaml": "DATABASE_URL: postgresql://app:app@database:5432/app",
        "compose.override.yaml": f"TOKEN: {TOKEN}",
        "docker-compose.yml": "REPORTS: ${REPORTS:-postgresql://app:zebra@reports.example/app}",
        "chart/values.yaml": 'REPORTS: "postgresql://app:zebra@reports.example/app"',
        "chart/values-local.yaml": 'REPORTS: "postgresql://app:$PASSWORD@reports.example/app"',
    }.items():
        (tmp_path / "sources" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sources" / name).write_text(f"{line}\n")
    said = found(tmp_path / "sources", tmp_path / "found.json")
    assert said.keys() == {
        "a/Dockerfile", "b/Dockerfile", "c/Dockerfile", "taskflow.toml", "compose.override.yaml",
        "docker-compose.yml", "chart/values.yaml",
    }  # fmt: skip
    assert "zebra" not in "".join(said.values())


def test_each_layer_is_searched_but_those_that_are_known(tmp_path: Path) -> None:
    with opened(archive(tmp_path / "image.tar", {"app/x": TOKEN})) as saved:
        secrets.unpack(saved, tmp_path / "image", {saved.layers[0].identity})
    assert found(tmp_path / "image", tmp_path / "found.json") == {}


def test_a_search_that_misses_what_was_planted_is_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text("disable-rules: [github-pat]\n")
    monkeypatch.setattr(secrets, "RULES", tmp_path / "rules.yaml")
    (tmp_path / "sources").mkdir()
    with pytest.raises(EnvironmentTrouble, match="overlooked"):
        secrets.search(tmp_path / "sources", tmp_path / "found.json")
