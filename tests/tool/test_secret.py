"""What Next.js gives to every browser is no secret by its name; a private token is one all the same."""

from __future__ import annotations

import pytest

from taskflow_containers.contract.secret import is_secret

GOOGLE = "AIza" + "a1" * 17  # what browsers hold looks like what servers do


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("NEXT_PUBLIC_POSTHOG_KEY", "phc_abc123", False),
        ("NEXT_PUBLIC_MAPBOX_TOKEN", "pk.abc", False),
        ("NEXT_PUBLIC_FIREBASE_API_KEY", GOOGLE, False),
        ("NEXT_PUBLIC_PAYMENT", "sk_live_" + "4a" * 14, True),
        ("NEXT_PUBLIC_DATABASE", "postgres://me:word@host/x", True),
        ("FIREBASE_KEY", GOOGLE, True),
        ("POSTHOG_KEY", "phc_abc123", True),
    ],
)
def test_public_names(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret
