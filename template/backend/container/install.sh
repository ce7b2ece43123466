# Installs what the one lock file says into /app/.venv, by the tool that wrote it, and compiles it.
set -eu
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy POETRY_VIRTUALENVS_IN_PROJECT=true
# Poetry's client reads no SSL_CERT_FILE, by which a base image trusts a proxy's authority.
[ -z "${SSL_CERT_FILE:-}" ] || export REQUESTS_CA_BUNDLE="$SSL_CERT_FILE"
uv venv --quiet .venv
# shellcheck disable=SC2012,SC2046 # names without blanks
set -- $(ls requirements.txt uv.lock poetry.lock 2>/dev/null || true)
case $* in
requirements.txt) uv pip install --quiet --no-deps --require-hashes -r requirements.txt ;;
uv.lock) uv sync --quiet --frozen --no-dev --no-install-project --no-editable ;;
poetry.lock)
    command -v poetry >/dev/null || echo "backend: poetry.lock needs poetry: add it to the group build of pyproject.toml and lock that anew" >&2
    poetry install --no-interaction --no-ansi --only main --no-root
    ;;
*) echo "backend: needs one of requirements.txt, uv.lock, poetry.lock, and has ${*:-none}: keep the one to use" >&2 && exit 1 ;;
esac
python -m compileall -q -j 0 --invalidation-mode=unchecked-hash .venv || true
rm -f .venv/.lock
# For scanners of the image; not as a part of the package, whose modules it has no need of.
python -I "$(dirname "$0")/sbom.py" .venv >.venv/sbom.cdx.json
