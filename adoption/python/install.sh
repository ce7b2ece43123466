# Installs an adopted application's packages into /app/.venv as its lock says, by the tool that wrote it, and compiles them.
# Called in the application's folder: install.sh NAME backend|worker|cron requirements|uv|poetry|pipenv|pdm|project [FILE] [OPTION...]
# FILE is that of requirements; the options are the tool's own, for its groups and extras.
set -eu
name=$1 kind=$2 install=$3 file=
shift 3
if [ "$install" = requirements ]; then file=$1 && shift; fi
ours=$(dirname "$0")
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy VIRTUAL_ENV=/app/.venv UV_PROJECT_ENVIRONMENT=/app/.venv
export PIPENV_VERBOSITY=-1 PDM_CHECK_UPDATE=0
# Clients that read no SSL_CERT_FILE, by which a base image trusts a proxy's authority.
[ -z "${SSL_CERT_FILE:-}" ] || export REQUESTS_CA_BUNDLE="$SSL_CERT_FILE"
unlocked() { echo "$name: $1: what is installed depends on the day of the build" >&2; }
# Beside a package's own index pip asks all others for the best version: so does what was locked or pinned by pip.
with_uv() { uv pip install --quiet --index-strategy unsafe-best-match "$@"; }
uv venv --quiet "$VIRTUAL_ENV"
case $install in
requirements)
    if grep -qs -e '--hash[= ]' "/src/$file"; then
        with_uv --require-hashes -r "/src/$file" "$@"
    else
        unlocked "$file states no hashes"
        with_uv -r "/src/$file" "$@"
    fi
    ;;
uv) uv sync --quiet --frozen --no-dev --no-install-project --no-editable "$@" ;;
poetry)
    case " $*" in *" --with"* | *" --only"*) ;; *) set -- --only main "$@" ;; esac
    poetry install --no-interaction --no-ansi --no-root "$@"
    ;;
pipenv)
    pipenv requirements --hash >/tmp/requirements.txt
    with_uv -r /tmp/requirements.txt
    ;;
pdm)
    pdm use --quiet -f "$VIRTUAL_ENV/bin/python"
    pdm sync --quiet --prod --no-self --no-editable "$@"
    ;;
project)
    unlocked "no lock file"
    # Where the project states them, its dependencies alone: to build it takes more of its files than lie here.
    if grep -qs '^\[project\]' pyproject.toml; then with_uv -r pyproject.toml "$@"; else with_uv . "$@"; fi
    ;;
*) echo "$name: install = $install is none of requirements, uv, poetry, pipenv, pdm, project" >&2 && exit 1 ;;
esac
python=$VIRTUAL_ENV/bin/python
# What was installed as a link to /src, which the image does not have, is installed as a copy.
"$python" -I - <<'PYTHON' | while read -r folder; do with_uv --no-deps --reinstall "$folder"; done
import json
from importlib.metadata import distributions
from urllib.parse import unquote, urlsplit
for one in distributions():
    origin = json.loads(one.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        print(unquote(urlsplit(origin["url"]).path))
PYTHON
# What the application asks of its own package, which the tool that wrote the lock would install with its code.
[ ! -f pyproject.toml ] || python -I "$ours/metadata.py" "$VIRTUAL_ENV" pyproject.toml "$install" "$name"
# The server, where the application brings none or one from before 0.31, which knows no networks of proxies: into a folder of
# its own below the environment, with those of its packages that are not there. No package of the application changes.
if [ "$kind" = backend ]; then
    "$python" -I - "$ours/server.txt" >/tmp/server.txt <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
def found(name):
    try:
        return tuple(int(part) for part in version(name).split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return ()
if found("uvicorn") < (0, 31):
    for line in open(sys.argv[1]):
        name = line.partition("==")[0]
        if name == "uvicorn" or not (found(name) or name == "wsproto" and find_spec("websockets")):
            print(line, end="")
PYTHON
    if [ -s /tmp/server.txt ]; then
        folder=$VIRTUAL_ENV/lib-server/python3/site-packages
        uv pip install --quiet --no-deps --require-hashes --target "$folder" -r /tmp/server.txt
        rm -rf "$folder/bin" "$folder/.lock"
        site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        echo "import sys; sys.path.insert(0, '$folder')" >"$site/taskflow_server.pth"
        echo "$name: its packages have no uvicorn >= 0.31: the one of server.txt serves it" >&2
    fi
fi
"$python" -m compileall -q -j 0 --invalidation-mode=unchecked-hash "$VIRTUAL_ENV" || true
rm -f "$VIRTUAL_ENV/.lock"
# For scanners of the image; not as a part of the package, whose modules it has no need of.
"$python" -I "$ours/sbom.py" "$VIRTUAL_ENV" >"$VIRTUAL_ENV/sbom.cdx.json"
