# Installs what the lock file says into /app/.venv, by the means of the tool that wrote it, and compiles it.
set -eu
# shellcheck disable=SC2012 # names without blanks
set -- $(ls requirements.txt uv.lock poetry.lock 2>/dev/null || true)
if [ $# != 1 ]; then
    echo "backend: needs one lock file of requirements.txt, uv.lock and poetry.lock, and has ${*:-none}:" \
        "keep the one to install from" >&2
    exit 1
fi
if [ "$1" = poetry.lock ] && ! command -v poetry >/dev/null; then
    echo "backend: poetry.lock needs poetry: add it to requirements-build.in, and lock that anew" >&2
    exit 1
fi
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy POETRY_VIRTUALENVS_IN_PROJECT=true
# Poetry's client reads no SSL_CERT_FILE, by which a base image trusts a proxy's authority.
[ -z "${SSL_CERT_FILE:-}" ] || export REQUESTS_CA_BUNDLE="$SSL_CERT_FILE"
uv venv --quiet .venv
case $1 in
requirements.txt) uv pip install --quiet --no-deps --require-hashes -r requirements.txt ;;
uv.lock) uv sync --quiet --frozen --no-dev --no-install-project ;;
poetry.lock) poetry install --no-interaction --no-ansi --only main --no-root ;;
esac
python -m compileall -q -j 0 --invalidation-mode=unchecked-hash .venv || true
rm -f .venv/.lock
