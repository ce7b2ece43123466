"""What kind of service an image is, by its name."""

from __future__ import annotations

import re

_IMAGES = {
    "postgresql": r"postgres|postgis|timescale|pgvector|paradedb",
    "mysql": r"mysql|mariadb|percona",
    "mongodb": r"mongo",
    "redis": r"redis|valkey|keydb|dragonfly",
    "rabbitmq": r"rabbitmq",
    "kafka": r"(?:cp-)?kafka|redpanda",
    "elasticsearch": r"elasticsearch|opensearch",
    "s3": r"minio|seaweedfs",
    "nats": r"nats",
}
# What looks at such a service, or is a client of it.
_BESIDE = re.compile(
    r"\b(?:ui|client|exporter|express|commander|insight|admin|console|dashboards)\b"
)


def kind_of_image(image: str) -> str:
    """What an image serves: postgresql, redis …, or ""."""
    name = image.split("@")[0].rsplit("/", 1)[-1].lower()
    if _BESIDE.search(name.split(":")[0]):
        return ""
    return next((kind for kind, pattern in _IMAGES.items() if re.match(pattern, name)), "")
