"""What a failed step's last words ask of the application's owner."""

from __future__ import annotations

import re

_READS = (
    "the build reads variables that no build has{named}: have the code read them when it runs, or state "
    "what is no secret below `build.arguments` of the container in taskflow.toml"
)
_OTHERWISE = "mend the step named above; its last lines are under detail"
# What a container's own scripts refuse says by itself what to do; that a command failed does not.
_REFUSED = re.compile(r"(?:^|\| )(?:install|build): ([^`|\n]+: [^|\n]+)", re.MULTILINE)
_VARIABLE = re.compile(r"\b(?!ERR_|E[A-Z]+\b|NODE_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
# As package managers, compilers and Next.js say it; the first that fits counts.
_ADVICE = (
    (
        r"from Google Fonts|internal/font/google|fonts\.(?:googleapis|gstatic)\.com",
        "the build fetches a font from Google: build where fonts.googleapis.com can be reached, "
        "or have the font in the repository (next/font/local)",
    ),
    (
        r"can only install packages when your package\.json|ERR_PNPM_OUTDATED_LOCKFILE|lockfile needs to be updated"
        r"|lockfile would have been modified|[Ll]ockfile .* needs to be updated"
        r"|changed significantly since (?:poetry\.)?lock|Pipfile\.lock .* out of date",
        "the lock file is not of these packages: lock them again with the package manager, and commit that",
    ),
    (
        r"ERR_PNPM_UNSUPPORTED_ENGINE|The engine \"node\" is incompatible|EBADENGINE"
        r"|requires a different Python|[Cc]urrent Python version|[Pp]ython .* is not (?:allowed|supported|compatible)"
        r"|not satisfy Python|requires-python|No interpreter found for Python",
        "the application asks for another version: name it in `base` (and `builder`) of taskflow.toml "
        "and in the Dockerfile",
    ),
    (
        r"(?:gcc|g\+\+|cc|make|cargo|rustc|cmake|pkg-config)['\"`]?:? .*(?:not found|No such file|failed)"
        r"|No such file or directory: '\S*(?:gcc|cc|g\+\+|make|cargo|rustc|cmake)'"
        r"|command '\S*(?:gcc|cc|g\+\+)\S*' failed|pg_config|mysql_config|gyp ERR!|node-gyp|Failed to build (?:installable )?wheel|Failed building wheel",
        "a package is compiled here, and the image has no compiler: take a version of it that has a "
        "wheel or a binary for this platform, or a `builder` in taskflow.toml that has the compiler",
    ),
    (
        r"exec: \"git\"|spawn git ENOENT|\bgit: (?:command )?not found|No such file or directory: '?git\b|[Gg]it executable not found",
        "the installation asks for git, which the image has not: take the package from a registry, or name a "
        "`builder` in taskflow.toml that has git",
    ),
    (
        r"Can't reach database server|P1001\b|Connection refused.*\b(?:5432|3306|6379|27017)\b",
        "the build asks a database, and no build has one: read it when a request comes "
        "(in Next.js `export const dynamic = 'force-dynamic'`)",
    ),
    (
        r"[Ii]nvalid environment variables?|[Mm]issing (?:required )?env(?:ironment)?\b|is not set in the environment"
        r"|[Ee]nvironment variables? (?:not found|(?:is |are )?(?:missing|required|not (?:set|defined)))"
        r"|(?:[Mm]issing|(?:[Pp]lease|[Mm]ust) (?:set|define|add|provide|specify))\b[^|\n]*\b(?:[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|environment|\.env)"
        r"|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b\W{0,3} (?:environment variable )?(?:is|are|was) (?:not set|not defined|undefined|missing|required)"
        r"|(?:supabase\w*(?:Url|URL|Key|KEY)|[Aa]pi ?[Kk]ey) (?:is|are) required|Missing API key|Neither apiKey"
        r"|Missing (?:publishable|secret)Key|ZodError\b[\s\S]{0,400}?\"[A-Z][A-Z0-9]*_[A-Z0-9_]+\"",
        _READS,
    ),
    (
        r"Type error: |Failed to type check|error TS\d+:",
        "the application's own types do not fit: its build says the same outside of a container; mend the "
        "file that detail names",
    ),
    (
        r"Module not found: |Cannot find module |ERR_MODULE_NOT_FOUND|ModuleNotFoundError|Can't resolve '",
        "the build takes a module that is not there: add its package to the dependencies, or commit its file "
        "and leave it out of no ignore file",
    ),
    (
        r"\bE404\b|ERR_PNPM_(?:FETCH_404|NO_MATCHING_VERSION)|\bETARGET\b|YN0035|Package not found"
        r"|No matching distribution found|not found in the package registry|Couldn't find package|404 Not Found",
        "the package registry has not what the lock file names: name the registry that has it "
        "(.npmrc, or an index of uv or pip), or lock again without it",
    ),
    (
        r"Export encountered errors? on following paths|Error occurred prerendering page",
        "a page is made by the build, which lacks what that page reads: have it made when a request comes "
        "(`export const dynamic = 'force-dynamic'` in its file), or let the build reach that",
    ),
    (
        r"\b(?:ECONNRESET|ECONNREFUSED|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)\b|fetch failed|getaddrinfo|[Cc]ould not resolve host"
        r"|Failed to (?:download|fetch)\b|at Timeout\.",
        "the build fetches what cannot be reached from here: let the engine reach that address (a proxy "
        "goes by HTTPS_PROXY), or have it in the repository",
    ),
    (
        r"heap out of memory|Allocation failed - JavaScript|exit code:? 137|signal: killed|SIGKILL",
        "the build had too little memory: give the engine's machine more",
    ),
)  # fmt: skip


def advice(reason: str, said: str = "") -> str:
    """What to do about a build that failed of this reason; its last words count where that is not known."""
    for text in (reason, said):
        if refused := _REFUSED.search(text):
            return refused[1].strip()
        for pattern, todo in _ADVICE:
            if match := re.search(pattern, text):
                start = text.rfind("\n", 0, match.start()) + 1
                names = dict.fromkeys(_VARIABLE.findall(text[start : match.end() + 300]))
                named = f" ({', '.join([*names][:5])})" if names else ""
                return todo.replace("{named}", named)
    return _OTHERWISE
