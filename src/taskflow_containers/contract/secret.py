"""What is a secret, by its name or its value, and how a report speaks of it."""

from __future__ import annotations

import re

SECRET_NAME = re.compile(
    # GPG_KEY is in the official Python images: the fingerprint their source is signed with.
    # Nor is a public key one, nor what says where a secret is, how long it lives or how it is made.
    r"^(?!GPG_KEY$|(.*[_.-])?(PUBLIC|PUBLISHABLE)[_.-]KEYS?$|((.*[_.-])?(MAX|MIN)[_.-](\w+_)?TOKENS)$"
    # Next.js writes what begins with NEXT_PUBLIC_ into the pages that everybody gets.
    r"|NEXT_PUBLIC_\w+$|PWD$|(.*[_.-])?(SORT|PARTITION|PRIMARY|FOREIGN|CACHE)[_.-]KEYS?$"
    r"|.*_(FILE|PATH|DIR|URI|TTL|PREFIX|LENGTH|SIZE|TIMEOUT|NAME|HEADER|ALGORITHM"
    r"|(?<!DATABASE_)URL|AUDIENCE|ISSUER|ENDPOINT|LOCATION|FIELD|BACKEND|SERVER)$"
    r"|.*[_.-](HASHER|VERSION|ROTATION|TYPE|POLICY|EXPIRY|LIMIT|(EXPIRES?_)?(MINUTES|SECONDS|HOURS|DAYS))$)"
    r"(.*[_.-])?(KEY|(?<=[_.-])KEYS|APIKEY|\w*TOKENS?|\w*PASS(WORD|WD|PHRASE)S?|PASS|PWD|PAT|\w*SECRETS?|CREDENTIALS?)([_.-](?!URL$)\w+)?$"
    r"|^.*DATABASE_URL$",
    re.IGNORECASE,
)
_PUBLIC = "NEXT_PUBLIC_"
# A number is no secret, unless somebody chose it as a password; what Stripe calls pk_… is public.
_HARMLESS = re.compile(
    r"true|false|yes|no|on|off|\d{1,9}(\.\d{1,9})?|pk_(test|live)_\w+", re.IGNORECASE
)
_CHOSEN = re.compile(r".*(PASS|PASSWORD|PASSWD|PASSPHRASE|PWD|PIN|SECRET)", re.IGNORECASE)
# What gives itself away, whatever its name. A shell command may speak of npm_config_….
TOKEN = re.compile(
    r"\b(?:(?:gh[pousr]_|npm_|npg_|napi_|hf_|sk-|AKIA|ASIA)[A-Za-z0-9]{12,}"
    r"|(?:github_pat_|glpat-|sk-or-v1-|sk-ant-|sk-proj-|[sr]k_live_|dckr_pat_|pypi-AgE|AIza|xox[abprs]-)[\w-]{12,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}|(?i:Bearer)\s+[\w.~+/-]{20,})"
    r"|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY"
)
URL_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@$]+@")
# A build may need an address to parse, of a server that is not there.
COMMAND_PASSWORD = re.compile(URL_PASSWORD.pattern + r"(?!localhost\b|127\.|\[::1\])")


def is_secret(name: str, value: str) -> bool:
    """Whether a variable or a label holds a secret, by its name or its value."""
    named = SECRET_NAME.match(name) and not (
        _HARMLESS.fullmatch(value) and not (_CHOSEN.fullmatch(name) and value[:1].isdigit())
    )
    # Google's keys for browsers look like those for servers.
    browsers = name.upper().startswith(_PUBLIC) and value.startswith("AIza")
    token = TOKEN.search(value) and not browsers
    return bool(value and (named or token or URL_PASSWORD.search(value)))


def redacted(text: str) -> str:
    """A text for a report, which must not repeat a secret."""
    return URL_PASSWORD.sub("://…@", TOKEN.sub("…", text))
