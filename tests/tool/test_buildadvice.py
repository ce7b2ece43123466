"""A failed build's owner is told the one thing to do, in whoever's words it failed."""

from __future__ import annotations

import pytest

from taskflow_containers.checks.buildadvice import advice


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("next/font: error: Failed to fetch `Inter` from Google Fonts.", "next/font/local"),
        ("Module not found: Can't resolve '@vercel/turbopack-next/internal/font/google/font'", "next/font/local"),
        ("`npm ci` can only install packages when your package.json and package-lock.json are in sync.", "lock them again"),
        ("ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with frozen-lockfile", "lock them again"),
        ("error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.", "lock them again"),
        ("error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.", "lock them again"),
        ("pyproject.toml changed significantly since poetry.lock was last generated.", "lock them again"),
        ("ERR_PNPM_UNSUPPORTED_ENGINE  Unsupported environment (bad pnpm and/or Node.js version)", "`base`"),
        ("ERROR: Package 'x' requires a different Python: 3.13.5 not in '==3.11.*'", "`base`"),
        ("Current Python version (3.13.5) is not allowed by the project (^3.11).", "`base`"),
        ("error: No interpreter found for Python ==3.14.* in managed installations", "`base`"),
        ("error: command 'gcc' failed: No such file or directory", "compiler"),
        ("error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-g++' | hint: Build failures usually", "compiler"),
        ('. prepare: Error: exec: "git": executable file not found in $PATH', "has git"),
        ("npm error syscall spawn git | npm error spawn git ENOENT", "has git"),
        ("Error: pg_config executable not found.", "compiler"),
        ("npm error gyp ERR! find Python", "compiler"),
        ("PrismaClientInitializationError: Can't reach database server at `db:5432`", "force-dynamic"),
        ("❌ Invalid environment variables: { DATABASE_URL: [ 'Required' ] }", "`build.arguments`"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "memory"),
        ("npm error node-pre-gyp info it worked | node-gyp.js configure --fallback-to-build", "compiler"),
        ("install: there is no lock file: run `npm install` and commit it", "there is no lock file: run `npm install`"),
        ("Error: STRIPE_SECRET_KEY is not set", "(STRIPE_SECRET_KEY)"),
        ("error: Environment variable not found: DATABASE_URL.", "(DATABASE_URL)"),
        ("Error: supabaseUrl is required.", "`build.arguments`"),
        ("Error: @clerk/nextjs: Missing publishableKey. You can get your key at", "`build.arguments`"),
        ('ZodError: [ | { "code": "invalid_type", | "path": [ | "SMTP_HOST" | ], | "message": "Required" } ]', "(SMTP_HOST)"),
        ("./app/page.tsx:3:5 | Type error: Type 'string' is not assignable", "types"),
        ("Module not found: Can't resolve 'sharp' | build: `npm run build` failed in /app", "dependencies"),
        ("YN0035: x@npm:1.0.1: Package not found", "registry"),
        ("> Export encountered errors on following paths: |   /page: / | fetch failed", "force-dynamic"),
        ("TypeError: fetch failed | cause: ENOTFOUND cms.example", "HTTPS_PROXY"),
        ("RUN ./check failed with exit code 3", "named above"),
    ],
)  # fmt: skip
def test_what_is_to_do(said: str, told: str) -> None:
    assert told in advice(said)


def test_the_last_words_count_where_the_reason_says_nothing() -> None:
    assert "compiler" in advice("exit code: 1", "gyp ERR! find Python\nexit code 1")
    assert "memory" in advice("JavaScript heap out of memory", "gyp ERR! find Python")
