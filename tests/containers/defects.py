"""Images with one defect each, built upon one in order: what a check is named → how it is broken."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

# A case is named after the checks that find it; behind a colon, another way to break the same.
DOCKERFILE = """\
ARG BASE_IMAGE
FROM {option}${{BASE_IMAGE}} AS good
{lines}
"""
AS_ROOT = "USER 0:0\n{}\nUSER 1001:1001"
# Nothing of another platform is run, only copied.
COPIED = """\
FROM scratch
COPY --from=good / /
ENV PYTHONPATH=/app/src PATH=/usr/local/bin:/usr/bin:/bin
USER 1001:1001
EXPOSE 8000
HEALTHCHECK CMD ["python", "/app/healthcheck.py", "http://127.0.0.1:8000/api/health/live"]
CMD ["python", "-u", "/app/app.py"]
LABEL org.opencontainers.image.title="Service" org.opencontainers.image.version="1.2.3" \\
      org.opencontainers.image.revision="unknown" org.opencontainers.image.created="2026-01-01T00:00:00Z" \\
      org.opencontainers.image.source="unknown" org.opencontainers.image.base.name=python:3.13-slim"""


class Defect(NamedTuple):
    """The lines that break the image of a container, and the platform it is built for."""

    lines: str
    container: str = "backend"
    platform: str = ""

    def write(self, folder: Path) -> Path:
        """Make it the Dockerfile of a folder."""
        folder.mkdir(exist_ok=True)
        option = "--platform=${BUILDPLATFORM} " if self.platform else ""
        text = DOCKERFILE.format(option=option, lines=self.lines)
        (folder / "Dockerfile").write_text(text, encoding="utf-8")
        return folder


def found_by(case: str) -> list[str]:
    """The checks that find a case."""
    return case.partition(":")[0].split(", ")


def backend(fault: str) -> Defect:
    """The backend does this one thing wrong."""
    return Defect(f"ENV FAULT={fault}")


def frontend(fault: str) -> Defect:
    """The frontend does this one thing wrong."""
    return Defect(f"ENV FAULT={fault}", "frontend")


def as_root(*commands: str) -> Defect:
    """These commands, run as root, break the backend."""
    return Defect(AS_ROOT.format("\n".join(f"RUN {command}" for command in commands)))


DEFECTS = {
    "alone": backend("connects-at-start"),
    "assets": frontend("no-assets"),
    "backend-away": frontend("silent-page"),
    "clock": backend("wall-clock"),
    "cold-start": backend("needs-a-whole-cpu"),
    "data": backend("empties-data"),
    "database.back": backend("no-recovery"),
    "database.liveness": backend("live-asks-database"),
    "database.lost": backend("unnamed-check"),
    "database.migrate": Defect('ENV NO_TABLES="the tables cannot be made"'),
    "database.requests": backend("crashes-without-database"),
    "diff": backend("writes"),
    "dns": backend("resolves-and-waits"),
    "environment": backend("shows-value"),
    "file-system": as_root("chown 0:0 /app/data"),
    "growth": backend("grows"),
    "healthcheck": as_root('echo "raise SystemExit(1)" > /app/healthcheck.py'),
    "healthcheck.asks": Defect('HEALTHCHECK CMD ["python", "-c", "pass"]'),
    "healthcheck.asks: another path": Defect('HEALTHCHECK CMD ["python", "/app/healthcheck.py", "http://127.0.0.1:8000/"]'),
    "healthcheck.asks: another port": Defect('HEALTHCHECK CMD ["python", "/app/healthcheck.py", "http://127.0.0.1:80/api/health"]'),
    "healthcheck.asks: whatever it is answered": Defect(
        """HEALTHCHECK CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000); c.request('GET', '/api/health')"]"""
    ),
    "healthcheck.asks: a program that is not there": Defect('HEALTHCHECK CMD ["curl", "-f", "http://127.0.0.1:8000/api/health"]'),
    "healthcheck.asks: of the page": Defect('HEALTHCHECK CMD ["node", "-e", "0"]', "frontend"),
    "image.caches": as_root("mkdir -p /root/.cache/pip/http && echo x > /root/.cache/pip/http/x"),
    "image.command": Defect("CMD python -u /app/app.py"),
    "image.development": as_root("mkdir -p /usr/lib/python3/dist-packages/pytest && touch /usr/lib/python3/dist-packages/pytest/__init__.py"),
    "image.environment": Defect('ENV PYTHONPATH=/elsewhere'),
    "image.healthcheck": Defect('HEALTHCHECK CMD python /app/healthcheck.py http://127.0.0.1:8000/api/health'),
    "image.labels": Defect('LABEL org.opencontainers.image.version=""'),
    "image.layers": Defect("\n".join(f"COPY Dockerfile /layers/{n}" for n in range(20))),
    "image.platform": Defect(COPIED, platform="linux/s390x"),
    "image.port": Defect('EXPOSE 9000'),
    "image.private": as_root("echo PASSWORD=x > /app/.env", "rm /app/.env"),
    "image.run-time-environment": Defect('ENV LOG_LEVEL=debug'),
    "image.set-id": as_root("chmod u+s /usr/bin/env"),
    "image.size": as_root("head -c 4000000 /dev/urandom > /blob"),
    "image.user": Defect('USER 0:0\nRUN echo "app:x:1001:1001::/:/bin/false" >> /etc/passwd\nUSER app'),
    "image.volumes": Defect('VOLUME /cache'),
    "image.writable": as_root("mkdir -m 777 /cache"),
    "ipv6": as_root("sed -i 's/\"\", 8000/\"0.0.0.0\", 8000/' /app/app.py"),
    "keep-alive": backend("short-idle"),
    "leaks": backend("leaks"),
    "liveness": backend("live-not-json"),
    "load": backend("errors-under-load"),
    "memory": backend("hungry-child"),
    "page": frontend("no-html"),
    "path": frontend("rewrites-answers"),
    "probes": backend("live-checks"),
    "read-only": as_root("rm /app/public/robots.txt"),
    "readiness": backend("odd-status"),
    "restart": backend("lock-file"),
    # Asks the stand-in for a backend as well, were it run there.
    "server-side": Defect(
        'ENV FAULT=asks-nothing\nHEALTHCHECK --interval=1s CMD ["node", "/app/healthcheck.cjs", "http://127.0.0.1:3000/health"]', "frontend"
    ),
    "slow-connections": backend("few-connections"),
    "start": backend("slow-start"),
    "start: on another port": as_root("sed -i 's/8000/9000/' /app/app.py"),
    "start: for itself alone": as_root("sed -i 's/\"\", 8000/\"127.0.0.1\", 8000/' /app/app.py"),
    "stop": backend("waits-for-idle"),
    "stop, stop.busy: a shell in front": Defect('CMD ["sh", "-c", "python -u /app/app.py; true"]'),
    "stop.busy": backend("hangs-up"),
    "stop.busy: a shell behind an init": Defect(
        'CMD ["python", "-c", "import signal, subprocess as s; p = s.Popen([\'sh\', \'-c\', \'python -u /app/app.py; true\']);'
        ' signal.signal(15, lambda *_: p.terminate()); exit(128 - p.wait() if p.wait() < 0 else p.wait())"]'
    ),
    "stop.in-flight": backend("drops-slow"),
    "stop.starting": backend("late-handler"),
    "tmp-full": backend("needs-tmp"),
    "two-backends": frontend("built-in-address"),
}  # fmt: skip
# They need a real driver and pool, so they break the backend of the default project.
DEFECTS_OF_SAMPLE = {
    "database.cut": as_root("sed -i '/check=ping,/d' /app/src/app/database.py"),
    "neon": Defect("ENV HEALTH_DATABASE_CHECK=query"),
}
