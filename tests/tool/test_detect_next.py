"""What a look at a repository finds of Next.js applications, and what hostile repositories do to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.adopt.detect import look
from taskflow_containers.adopt.findings import Certainty
from taskflow_containers.adopt.parts import complete
from tests.conftest import git
from tests.tool.test_detect import MAIN, found

PACKAGE = json.dumps({"dependencies": {"next": "15.1.0"}, "scripts": {"build": "next build"}})
PAGE = {"app/page.tsx": "export default () => null\n", "package-lock.json": "{}"}
UNKNOWN = object()

# A configuration, the file that holds it, and what it evaluates to.
CONFIGURATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "an object": ("next.config.js", "module.exports = { output: 'standalone', basePath: '/shop', distDir: 'out' }", {"output": "standalone", "base_path": "/shop", "dist_dir": "out"}),
    "a name and a type": ("next.config.ts", "import type { NextConfig } from 'next'\nconst c: NextConfig = { basePath: `/${'a'}` }\nexport default c satisfies NextConfig", {"base_path": "/a"}),
    "a function": ("next.config.mjs", "export default async (phase) => { const base = '/x'; return { basePath: base } }", {"base_path": "/x"}),
    "by the phase": ("next.config.mjs", "import { PHASE_DEVELOPMENT_SERVER } from 'next/constants.js'\nexport default (phase) => { if (phase === PHASE_DEVELOPMENT_SERVER) { return { basePath: '/dev' } } return { basePath: '/live' } }", {"base_path": "/live"}),
    "a wrapper": ("next.config.mjs", "import mdx from '@next/mdx'\nconst withMDX = mdx({ options: {} })\nconst c = { basePath: '/w' }\nexport default withSentryConfig(withMDX(c), { org: 'x' })", {"base_path": "/w"}),
    "a promise": ("next.config.mjs", "export default Promise.resolve({ basePath: '/p' })", {"base_path": "/p"}),
    "a wrapper of the repository": ("next.config.js", "const wrap = (c) => ({ ...c, basePath: '/own' })\nmodule.exports = wrap({ output: 'standalone' })", {"base_path": "/own", "output": "standalone"}),
    "spread and override": ("next.config.js", "const base = { basePath: '/a', output: 'export' }\nmodule.exports = { ...base, basePath: '/b' }", {"base_path": "/b", "output": "export"}),
    "assigned later": ("next.config.js", "const c = {}\nc.basePath = '/later'\nmodule.exports = c", {"base_path": "/later"}),
    "production": ("next.config.js", "const prod = process.env.NODE_ENV === 'production'\nmodule.exports = { basePath: prod ? '/prod' : '' }", {"base_path": "/prod"}),
    "of another file": ("next.config.mjs", "import { base } from './settings.mjs'\nexport default { ...base }", {"base_path": "/imported"}),
    "the environment": ("next.config.js", "module.exports = { basePath: process.env.BASE_PATH || '/usual' }", {"base_path": UNKNOWN}),
    "a condition": ("next.config.js", "module.exports = { output: process.env.DOCKER ? 'standalone' : undefined }", {"output": UNKNOWN}),
    "an unknown spread": ("next.config.js", "module.exports = { ...require('elsewhere') }", {"base_path": UNKNOWN}),
    "nothing": ("next.config.js", "module.exports = {}", {"base_path": "", "output": "", "dist_dir": ".next"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_what_a_configuration_evaluates_to(tmp_path: Path, case: str) -> None:
    name, text, expected = CONFIGURATIONS[case]
    files = {
        "package.json": PACKAGE,
        "settings.mjs": "export const base = { basePath: '/imported' }\n",
        **PAGE,
    }
    service = found(tmp_path, files | {name: text}).services[0]
    assert service.next
    for key, value in expected.items():
        finding = getattr(service.next, key)
        if value is UNKNOWN:
            assert finding.certainty is Certainty.UNKNOWN
        else:
            assert (finding.value, finding.certainty) == (value, Certainty.READ)


def test_an_unknown_base_path_is_a_question_with_its_candidates(tmp_path: Path) -> None:
    text = "module.exports = { basePath: process.env.BASE || '/usual' }"
    findings = found(tmp_path, {"package.json": PACKAGE, "next.config.js": text, **PAGE})
    assert [(q.key, q.candidates) for q in findings.questions] == [("base_path", ("/usual",))]


def test_rewrites_with_what_is_certain_of_them(tmp_path: Path) -> None:
    text = "export default { async rewrites() { return { beforeFiles: [{ source: '/a', destination: '/b' }, { source: '/c', destination: `${process.env.API}/d` }] } } }"
    findings = found(tmp_path, {"package.json": PACKAGE, "next.config.mjs": text, **PAGE})
    assert findings.services[0].next
    assert [r.value for r in findings.services[0].next.rewrites] == [("/a", "/b"), ("/c", "")]
    assert findings.containers()[0]["arguments"] == ["API"]


DEMANDS = """
export function a() { if (!process.env.A1 || !process.env.A2) throw new Error() }
const a3 = process.env.A3 as string
if (!a3) { throw new Error() }
const { A4, O1 } = process.env
if (A4 === undefined) throw new Error()
const a5 = process.env.A5 ?? (() => { throw new Error() })()
import assert from "node:assert"
assert(process.env.A6, "A6")
function given<T>(x: T | undefined, y: string): T { if (x == null) throw new Error(y); return x }
export const a7 = given(process.env.A7, process.env.O2)
export const must = (name: string) => { const x = process.env[name]; if (!x) throw new Error(name); return x }
must("A8")
export function b() { const x = process.env.A9; if (typeof x === "undefined") { throw new Error() } }
export function c() { try { if (!process.env.O3) throw new Error() } catch { return null } }
export function d() { const x = process.env.O4; if (!x) return null }
export function e() { if (!process.env.O4 && !process.env.O5) throw new Error() }
"""

# Files, and what the first container's entry must hold.
CASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "npm at the root": ({"package.json": PACKAGE, **PAGE}, {"name": "frontend", "context": ".", "manager": "npm", "lock": "package-lock.json", "port": 3000}),
    "pnpm's workspace": (
        {"package.json": '{"packageManager": "pnpm@9.1.0"}', "pnpm-workspace.yaml": "packages: ['apps/*', '!apps/old']\n", "pnpm-lock.yaml": "", "apps/web/package.json": PACKAGE, "apps/web/app/page.tsx": ""},
        {"name": "web", "context": ".", "app": "apps/web", "manager": "pnpm", "lock": "pnpm-lock.yaml", "build": "pnpm run build"},
    ),
    "yarn's workspace, two levels deep": (
        {"mono/package.json": '{"workspaces": {"packages": ["apps/**"]}}', "mono/yarn.lock": "", "mono/apps/a/web/package.json": PACKAGE, "mono/apps/a/web/pages/index.js": ""},
        {"context": "mono", "app": "apps/a/web", "manager": "yarn", "lock": "yarn.lock"},
    ),
    "a lock file of its own": (
        {"package.json": '{"workspaces": ["web"]}', "yarn.lock": "", "web/package.json": PACKAGE, **{f"web/{k}": v for k, v in PAGE.items()}},
        {"context": "web", "app": "", "manager": "npm"},
    ),
    ".nvmrc": ({"package.json": PACKAGE, ".nvmrc": "v22.3.0\n", **PAGE}, {"base": "node:22-alpine"}),
    "engines": ({"package.json": '{"dependencies": {"next": "15"}, "engines": {"node": "20.x"}}', **PAGE}, {"base": "node:20-alpine"}),
    "a name of long-term support": ({"package.json": PACKAGE, ".nvmrc": "lts/jod\n", **PAGE}, {"base": "node:22-alpine"}),
    "volta": ({"package.json": '{"dependencies": {"next": "15"}, "volta": {"node": "22.12.0"}}', **PAGE}, {"base": "node:22-alpine"}),
    "engines with an end": ({"package.json": '{"dependencies": {"next": "15"}, "engines": {"node": ">=18.17.0 <= 22.x"}}', **PAGE}, {"base": "node:22-alpine"}),
    "engines that name some": ({"package.json": '{"dependencies": {"next": "15"}, "engines": {"node": "^18.18.0 || ^20.9.0 || 21"}}', **PAGE}, {"base": "node:20-alpine"}),
    "engines from one on": ({"package.json": '{"dependencies": {"next": "15"}, "engines": {"node": "^18.18.0 || >=20"}}', **PAGE}, {"base": "node:24-alpine"}),
    "engines of newer ones": ({"package.json": '{"dependencies": {"next": "15"}, "engines": {"node": ">24"}}', **PAGE}, {"base": "node:26-alpine"}),
    "a port of what compose does not build": ({"package.json": PACKAGE, **PAGE, "compose.yaml": "services:\n  db:\n    image: postgres\n    ports: ['6500:5432']\n"}, {"port": 3000}),
    "next start's port": ({"package.json": '{"dependencies": {"next": "15"}, "scripts": {"start": "next start -p 4000"}}', **PAGE}, {"port": 4000}),
    "what the code reads": (
        {"package.json": PACKAGE, **PAGE, "lib/a.ts": "const a = process.env.A!, b = process.env['B'] ?? 'x', { C } = process.env\nif (!process.env.D) throw new Error('D')\nfetch(process.env.NEXT_PUBLIC_X)\nprocess.env.NODE_ENV\n// process.env.COMMENT\n", "lib/a.test.ts": "process.env.T", "prisma/seed.ts": "process.env.S!"},
        {"environment": {"required": ["A", "D"], "optional": ["B", "C"], "fixed": {}}, "arguments": ["NEXT_PUBLIC_X"]},
    ),
    "what it throws without": (
        {"package.json": PACKAGE, **PAGE, "lib/a.ts": DEMANDS, "lib/b.ts": "import { must } from '@/lib/a'\nmust('B1'); must(key)\n", "lib/c.ts": "const must = (x) => x\nmust('C1')\n"},
        {"environment": {"required": ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "B1"], "optional": ["O1", "O2", "O3", "O4", "O5"], "fixed": {}}},
    ),
    "a schema of the environment": (
        {"package.json": PACKAGE, **PAGE, "env.ts": "const later = z\n .string().optional();\nexport const env = createEnv({ server: { KEY: z.string(), OPT: z.string().optional(), LATER: later }, client: { NEXT_PUBLIC_Y: z.string() } })\n"},
        {"environment": {"required": ["KEY"], "optional": ["LATER", "OPT"], "fixed": {}}, "arguments": ["NEXT_PUBLIC_Y"]},
    ),
    "a schema that says more in production": (
        {"package.json": PACKAGE, **PAGE, "env.ts": "createEnv({ server: { P1: process.env.NODE_ENV === 'production' ? z.string() : z.string().optional(), Q1: process.env.NODE_ENV !== 'production' ? z.string() : z.string().optional() } })\n"},
        {"environment": {"required": ["P1"], "optional": ["Q1"], "fixed": {}}},
    ),
    "values that a schema takes": (
        {"package.json": PACKAGE, **PAGE, "env.ts": "createEnv({ server: { A1: z.string().url(), B1: z.enum(['x', 'y']), C1: z.coerce.number().min(3), D1: z.string().startsWith('sk_'), E1: z.string().min(32), F1: z.string().length(8), G1: z.string().min(1) } })\n"},
        {"environment": {"required": ["A1", "B1", "C1", "D1", "E1", "F1", "G1"], "optional": [], "fixed": {}, "examples": {"A1": "https://example.com", "B1": "x", "C1": "3", "D1": "sk_example-d1", "E1": "example-e1".ljust(32, "0"), "F1": "example-"}}},
    ),
    "what another variable switches on": (
        {"package.json": PACKAGE, **PAGE, "lib/a.ts": "if (process.env.NEXT_PUBLIC_ON === 'true') use(process.env.A!)\nconst b = process.env.B && process.env.B!\nif (ready) use(process.env.C!)\n"},
        {"environment": {"required": ["C"], "optional": ["A", "B"], "fixed": {}}, "arguments": ["NEXT_PUBLIC_ON"]},
    ),
    "what is the container's own in .env.example": (
        {"package.json": PACKAGE, **PAGE, ".env.example": "NODE_ENV=development\nPORT=3000\nREAL=x\n"},
        {"environment": {"required": [], "optional": ["REAL"], "fixed": {}}},
    ),
    "what a workspace's package reads": (
        {"package.json": '{"workspaces": ["*"]}', "package-lock.json": "{}", "web/package.json": '{"dependencies": {"next": "15", "@x/db": "*"}}', "web/app/page.tsx": "", "db/package.json": '{"name": "@x/db"}', "db/index.ts": "export const u = process.env.SOME_URL!\n"},
        {"environment": {"required": ["SOME_URL"], "optional": [], "fixed": {}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_first_container_of_a_next_application(tmp_path: Path, case: str) -> None:
    files, expected = CASES[case]
    entry = found(tmp_path, files).containers()[0]
    assert {key: entry[key] for key in expected} == expected


# A file beside an application, and the level and place of what is said of it.
SAID: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "a server of its own": ("package.json", '{"dependencies": {"next": "15"},\n"scripts": {"start": "NODE_ENV=production tsx server.ts"}}', [("change", "package.json:2")]),
    "Next.js's own server": ("package.json", '{"dependencies": {"next": "15"}, "scripts": {"start": "node .next/standalone/server.js"}}', []),
    "a wrapped start": ("package.json", '{"dependencies": {"next": "15"}, "scripts": {"start": "node --inspect ./node_modules/.bin/next start"}}', []),
    "too old": ("package.json", '{"dependencies": {"next": "^12.3.1"}}', [("change", "package.json:1")]),
    "too old by its minor version": ("package.json", '{"dependencies": {"next": "13.3.2-canary.13"}}', [("change", "package.json:1")]),
    "a range that holds newer ones": ("package.json", '{"dependencies": {"next": "^13.2.0"}}', []),
    "a Node that is too old": ("package.json", '{"dependencies": {"next": "15"}, "engines": {"node": "18.x"}}', [("change", "package.json:1")]),
    "a Node that nobody mends": (".nvmrc", "v20\n", [("said", ".nvmrc:1")]),
    "a catalog's": ("package.json", '{"dependencies": {"next": "catalog:"}}', []),
    "another framework": ("apps/start/package.json", '{"devDependencies": {"vite": "7"}, "scripts": {"start": "vite preview"}}', [("said", "apps/start/package.json:1")]),
    "a program": ("apps/jobs/package.json", '{"scripts": {"start": "tsx index.ts"}}', [("said", "apps/jobs/package.json:1")]),
    "scripts that hand on": ("tools/package.json", '{"scripts": {"start": "turbo run start"}}', []),
    "a lock file of another": ("package.json", PACKAGE[:-1] + ', "packageManager": "pnpm@10.1.0"}', [("change", "package.json:1")]),
    "a build that migrates": ("package.json", '{"dependencies": {"next": "15"},\n"scripts": {"build": "run-s db:up build:next", "build:next": "next build", "db:up": "dotenv -- drizzle-kit migrate"}}', [("change", "package.json:2")]),
    "a script that migrates": ("package.json", '{"dependencies": {"next": "15"},\n"scripts": {"build": "next build", "db:up": "drizzle-kit migrate"}}', []),
    "migrations": ("prisma/migrations/migration_lock.toml", "provider = 'postgresql'", [("said", "prisma/migrations/migration_lock.toml")]),
    "an address in Prisma's schema": ("prisma/schema.prisma", 'datasource db {\n  provider = "postgresql"\n  url = "postgresql://a@b/c"\n}\n', [("change", "prisma/schema.prisma:3")]),
    "what the build reads": ("lib/a.ts", "use(process.env.NEXT_PUBLIC_A)", [("said", "lib/a.ts:1")]),
    "what the build needs": ("lib/a.ts", "use(process.env.NEXT_PUBLIC_A!)", [("change", "lib/a.ts:1")]),
    "a registry's token": (".npmrc", "@x:registry=https://npm.example\n//npm.example/:_authToken=${TOKEN}\n", [("change", ".npmrc:2")]),
    "no package.json": ("apps/web/next.config.js", "module.exports = {}", [("change", "apps/web/next.config.js")]),
    "a site of Astro's": ("apps/site/package.json", '{"dependencies": {"astro": "5"}, "scripts": {"build": "astro build"}}', [("said", "apps/site/package.json:1")]),
    "a library": ("packages/ui/package.json", '{"devDependencies": {"vite": "7"}, "scripts": {"build": "vite build"}}', []),
    "an example": ("examples/blog/package.json", PACKAGE, [("said", "examples/blog")]),
    "a step of a course": ("book/2-begin/package.json", PACKAGE, [("said", "book/2-begin")]),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_is_said_beside_an_application(tmp_path: Path, case: str) -> None:
    name, text, expected = SAID[case]
    pages = {f"{folder}/app/page.tsx": "" for folder in ("examples/blog", "book/2-begin")}
    files = {"package.json": PACKAGE, **PAGE, **pages, name: text}
    findings = found(tmp_path, files)
    notes = [(n.level, n.where) for n in findings.notes if "no script to build it" not in n.text]
    assert (notes, len(findings.services)) == (expected, 1)


ROUTERS = {
    "app": ({"src/app/layout.tsx": "", "app/(ops)/health/route.ts": ""}, "app", ["/health"]),
    "pages": ({"pages/index.js": "", "pages/api/healthz.ts": ""}, "pages", ["/api/healthz"]),
    "both": ({"pages/index.js": "", "app/page.tsx": ""}, "both", []),
}


@pytest.mark.parametrize("case", ROUTERS)
def test_the_router_and_the_health_routes(tmp_path: Path, case: str) -> None:
    files, router, health = ROUTERS[case]
    service = found(tmp_path, {"package.json": PACKAGE, **files}).services[0]
    assert service.next
    assert service.next.router.value == router
    assert [route.path for route in service.health] == health


def test_a_frontend_and_a_backend_of_one_repository_are_connected(tmp_path: Path) -> None:
    files = {
        "api/main.py": MAIN, "api/requirements.txt": "fastapi\n", "web/package.json": PACKAGE, "web/app/page.tsx": "",
        "web/a.ts": "fetch(process.env.API_URL!); fetch(process.env.ORDERS!)", "web/package-lock.json": "",
        "compose.yaml": "services:\n  orders:\n    build: api\n  site:\n    build: web\n    environment: {ORDERS: 'http://orders:8000'}\n",
    }  # fmt: skip
    api, web = found(tmp_path, files).services
    assert (api.name, web.name) == ("api", "web")
    assert web.connects == {"API_URL": "api", "ORDERS": "api"}


def test_an_api_of_somebody_else_is_no_backend_of_this_repository(tmp_path: Path) -> None:
    """Unless its address while developing is this machine's, or its name says that it is ours."""
    names = (
        "EMAIL_SERVER_HOST",
        "STRIPE_API_URL",
        "INTERNAL_API_URL",
        f"{tmp_path.name.upper()}_API_URL",
    )
    code = "".join(f"fetch(process.env.{name}!);" for name in names)
    files = {
        "api/main.py": MAIN, "api/requirements.txt": "fastapi\n", "web/package.json": PACKAGE, "web/app/page.tsx": "",
        "web/a.ts": code + "fetch(process.env.GRAM_API_URL ?? 'http://localhost:8000')",
    }  # fmt: skip
    _, web = found(tmp_path, files).services
    assert {*web.connects} == {*names[2:], "GRAM_API_URL"}


def test_a_service_of_compose_is_what_its_dockerfile_lies_beside(tmp_path: Path) -> None:
    """Its context may hold another one; and the folder's name is that of what lies in it."""
    files = {
        "tool.py": MAIN, "requirements.txt": "fastapi\n", "backend/main.py": MAIN, "backend/requirements.txt": "fastapi\n",
        "backend/Dockerfile": "FROM python:3.13\nCMD uvicorn main:app\n", "web/package.json": PACKAGE, "web/app/page.tsx": "",
        "web/Dockerfile": "FROM node:24\nEXPOSE 3210\n", "web/a.ts": "fetch(process.env.ORDERS!)",
        "compose.yaml": "services:\n  orders:\n    build: {context: ., dockerfile: backend/Dockerfile}\n"
        "  site:\n    build: web\n    environment: {ORDERS: 'http://orders:8000'}\n",
    }  # fmt: skip
    tool, api, web = found(tmp_path, files).services
    assert [(s.name, s.context.value, s.port.value) for s in (tool, api, web)] == [
        ("backend-backend", ".", 8000), ("backend", "backend", 8000), ("web", "web", 3210),
    ]  # fmt: skip
    assert web.connects == {"ORDERS": "backend"}


def test_both_in_one_root_have_names_of_their_own(tmp_path: Path) -> None:
    files = {"main.py": MAIN, "requirements.txt": "x", "package.json": PACKAGE, **PAGE}
    assert [s.name for s in found(tmp_path, files).services] == ["backend", "frontend"]


IMAGE = """\
FROM node:22-alpine AS build
ARG NEXT_PUBLIC_API=/v1
ARG NEXT_PUBLIC_KEY
ENV NEXT_PUBLIC_KEY=$NEXT_PUBLIC_KEY ONLY_HERE=1
FROM node:22-alpine
ENV NODE_ENV=production NEXT_TELEMETRY_DISABLED=1 PORT=4000 NODE_OPTIONS=--x NEXT_PUBLIC_API=/v1
ENV TZ=Europe/Berlin STAGE=live FILES=/srv/files
WORKDIR /app
CMD ["node", "server.js"]
"""
READS = "fetch(process.env.NEXT_PUBLIC_API + process.env.NEXT_PUBLIC_KEY + process.env.NEXT_PUBLIC_Z + process.env.STAGE)"


def test_the_variables_of_its_own_image_and_of_its_build_are_carried_over(tmp_path: Path) -> None:
    files = {
        "package.json": PACKAGE, **PAGE, "lib/a.ts": READS, "Dockerfile": IMAGE, "main.py": MAIN, "requirements.txt": "x",
        "compose.yaml": "services:\n  web:\n    build: {context: ., args: {NEXT_PUBLIC_KEY: 'k${N:-1}', NEXT_PUBLIC_Z: '${Z}'}}\n",
    }  # fmt: skip
    findings = found(tmp_path, files)
    api, web = findings.containers()
    assert web["environment"]["fixed"] == {"TZ": "Europe/Berlin", "STAGE": "live"}
    assert web["build_values"] == {"NEXT_PUBLIC_API": "/v1", "NEXT_PUBLIC_KEY": "k1"}
    assert api["environment"]["fixed"] == {}
    told = [(n.level, n.where, n.text.split(":")[0]) for n in findings.notes]
    assert ("change", "Dockerfile:7", "FILES=/srv/files") in told
    assert ("said", "lib/a.ts:1", "NEXT_PUBLIC_Z") in told


def test_two_lock_files_are_a_question(tmp_path: Path) -> None:
    findings = found(tmp_path, {"package.json": PACKAGE, "yarn.lock": "", **PAGE})
    assert [(q.key, {*q.candidates}) for q in findings.questions] == [("manager", {"npm", "yarn"})]


HOSTILE = {
    "a script that multiplies": {"next.config.js": "\n".join(f"const a{i} = [a{i + 1}, a{i + 1}]" for i in range(60)) + "\nmodule.exports = { basePath: a0, ...a1 }"},
    "scripts that import each other": {"next.config.js": "module.exports = { ...require('./b.js') }", "b.js": "module.exports = { ...require('./next.config.js') }"},
    "a name that is itself": {"next.config.js": "const a = a\nmodule.exports = { basePath: a, ...a }"},
    "deep lists": {"next.config.js": "module.exports = " + "[" * 5000, "package.json.bak": "", "x/package.json": "[" * 100_000},
    "deep Python": {"deep.py": "import os\napp = " + "(" * 3000 + ")" * 3000, "sum.py": "import os\nx = os.environ['A']" + "+ 1" * 20_000},
    "YAML that multiplies": {"compose.yaml": "a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)) + "services: {a: {build: ., command: *u, environment: *t}}\n"},
    "YAML that holds itself": {"compose.yaml": "services: &a\n  b: *a\n  command: &c [*c]\n", "cron.yaml": "kind: CronJob\nspec: &s {x: *s}\n"},
    "long numbers": {"Dockerfile": "FROM node:" + "9" * 5000 + "\nEXPOSE " + "9" * 5000 + "\nCMD uvicorn a:b --port " + "9" * 5000, ".nvmrc": "9" * 5000, "compose.yml": "services: {a: {ports: ['" + "9" * 5000 + "']}}", "package.json": PACKAGE.replace("next build", "x").replace("15.1.0", "9" * 5000), "next.config.js": "module.exports = {basePath: " + "9" * 5000 + "}"},
    "modules in a circle": {"a.py": "from b import app\n", "b.py": "from a import app\nx = app()\n"},
    "a name of another case": {"Main.py": MAIN, "DOCKERFILE": "FROM x\n", "readme.MD": ""},
    "odd values": {"package.json": '{"dependencies": [1], "workspaces": 3, "engines": "x", "scripts": null, "packageManager": 7}', "pyproject.toml": "project = 3\ntool = 'x'\n", "compose.yml": "services: [1]\n", "docker-compose.yml": "services:\n  a: 1\n  2:\n    build: 3\n    ports: 4\n    environment: x\n    command: {}\n"},
    "odd tables": {"pyproject.toml": "[project]\ndependencies = 3\nrequires-python = 4\n[tool.poetry]\ndependencies = 'x'\n[tool.uv]\nworkspace = 1\n[tool.fastapi]\nentrypoint = 5\n[tool.alembic]\nscript_location = 1\n", "Pipfile": "packages = 1\n", "alembic.ini": "no section\n", "next.config.js": "module.exports = 3"},
    "control characters": {"requirements.txt": "\0\0\n-r \0\n-r ../../../etc/passwd\n", "main.py": "\0", "Procfile": "web: 'open\n: x\n", "Dockerfile": "FROM\nCMD [\nCOPY\nEXPOSE x\nARG\n"},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_repository_neither_fails_nor_lasts(tmp_path: Path, case: str) -> None:
    start = time.process_time()
    found(tmp_path, {"api/main.py": MAIN, "package.json": PACKAGE, **HOSTILE[case]}).containers()
    assert time.process_time() - start < 10


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_links_folders_and_bytes_that_cannot_be_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "main.py").write_text(MAIN)
    root = tmp_path / "root"
    root.mkdir()
    (root / "loop").symlink_to(root)
    (root / "main.py").symlink_to(outside / "main.py")
    (root / "gone.py").symlink_to("nowhere")
    (root / "bytes.py").write_bytes(b"import os\n# \xff\xfa\nos.environ['A']\n")
    (root / "sub").mkdir()
    (root / "sub" / ".git").write_text("gitdir: ../.git/modules/sub\n")
    (root / "sub" / "main.py").write_text(MAIN)
    (root / "node_modules" / "x").mkdir(parents=True)
    (root / "node_modules" / "x" / "main.py").write_text(MAIN)
    (root / "huge.py").write_bytes(b"import os\n" + b"x = 1\n" * 400_000)
    os.mkfifo(root / "pipe.py")
    findings = look(root)
    assert findings.services == ()
    said = {note.where for note in findings.notes}
    assert {"sub", "bytes.py:2", "huge.py"} <= said


def test_nothing_of_the_repository_is_run_or_imported(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\n"
    files = {"main.py": code + MAIN, "setup.py": code, "conftest.py": code, "sitecustomize.py": code, "package.json": PACKAGE,
             "next.config.js": f"require('fs').writeFileSync({str(marker)!r}, '')\nmodule.exports = {{}}"}  # fmt: skip
    root = tmp_path / "root"
    found(root, files)
    program = "from pathlib import Path; from taskflow_containers.adopt.detect import look; look(Path('.'))"
    subprocess.run([sys.executable, "-I", "-c", program], cwd=root, check=True, timeout=60)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("package", "files", "manager", "lock"),
    [
        ({"packageManager": "bun@1.2.17"}, {"bun.lock": "{}"}, "bun", "bun.lock"),
        ({}, {"bun.lockb": "x"}, "bun", "bun.lockb"),
        ({}, {"npm-shrinkwrap.json": "{}", "package-lock.json": "{}"}, "npm", "npm-shrinkwrap.json"),
        # Another one's beside it is there for images.
        ({"packageManager": "bun@1.2.17"}, {"bun.lock": "{}", "package-lock.json": "{}"}, "npm", "package-lock.json"),
    ],
)  # fmt: skip
def test_a_package_manager_installs_by_its_own_lock_file(
    tmp_path: Path, package: dict[str, Any], files: dict[str, str], manager: str, lock: str
) -> None:
    text = json.dumps(json.loads(PACKAGE) | package)
    findings = found(tmp_path, {"app/page.tsx": "", "package.json": text, **files})
    service = findings.services[0]
    assert (service.manager.value, service.lock.value) == (manager, lock)
    assert findings.notes == ()


def test_the_build_takes_what_committed_env_files_say(tmp_path: Path) -> None:
    reads = "[process.env.NEXT_PUBLIC_A, process.env.NEXT_PUBLIC_B, process.env.NEXT_PUBLIC_C!, process.env.D]"
    files = {
        ".env": "NEXT_PUBLIC_A=dev\nNEXT_PUBLIC_B='b # b'\nNEXT_PUBLIC_C=$D\nD=1\nSENTRY_AUTH_TOKEN=1\n",
        ".env.production": "NEXT_PUBLIC_A=live\n",
        "lib/a.ts": reads,
        "next.config.js": "module.exports = wrap({}, { authToken: process.env.SENTRY_AUTH_TOKEN })",
    }
    root = tmp_path / "kept"
    for folder in (root, tmp_path / "loose"):
        found(folder, {"package.json": PACKAGE, **PAGE, **files})
        git(folder, "init", "--quiet")
    git(root, "add", "--all")
    kept, loose = look(root), look(tmp_path / "loose")
    values = [one.containers()[0]["build_values"] for one in (kept, loose)]
    assert values == [{"NEXT_PUBLIC_A": "live", "NEXT_PUBLIC_B": "b"}, {}]
    said = {n.where: n.text for n in kept.notes}
    assert [*said] == ["next.config.js:1", "lib/a.ts:1", ".env"]
    assert "give D when it runs" in said[".env"]


def test_a_schema_of_the_environment_is_left_alone_by_the_build(tmp_path: Path) -> None:
    code = "createEnv({ server: { A1: z.string() }, skipValidation:\n !!process.env.SKIP_ENV_VALIDATION })"
    entry = found(tmp_path, {"package.json": PACKAGE, **PAGE, "env.js": code}).containers()[0]
    assert entry["arguments"] == ["SKIP_ENV_VALIDATION"]
    assert entry["build_values"] == {"SKIP_ENV_VALIDATION": "1"}
    assert entry["environment"]["required"] == ["A1"]


def test_prismas_schema_says_what_it_needs(tmp_path: Path) -> None:
    schema = 'datasource db {\n  provider = "postgresql"\n  url = env("SHOP_URL")\n  directUrl = env("DIRECT_URL")\n}\n'
    files = {"package.json": PACKAGE, **PAGE, "prisma/schema.prisma": schema}
    entry = found(tmp_path, files).containers()[0]
    assert entry["environment"] == {
        "required": ["SHOP_URL"],
        "optional": ["DIRECT_URL"],
        "fixed": {},
    }


def test_what_a_run_makes_itself_has_no_example(tmp_path: Path) -> None:
    files = {".env.example": "POSTGRES_URL=postgresql://***\nREGION=eu\n", "lib/a.ts": "f(process.env.POSTGRES_URL!, process.env.REGION!)"}  # fmt: skip
    package = PACKAGE.replace('"next"', '"pg": "8", "next"', 1)
    findings = found(tmp_path, {"package.json": package, **PAGE, **files})
    (entry,) = findings.containers()
    complete([entry], findings.backing)
    assert entry["connects"] == {"POSTGRES_URL": "database"}
    assert entry["environment"]["examples"] == {"REGION": "eu"}
