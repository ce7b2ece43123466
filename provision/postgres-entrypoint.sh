#!/bin/sh
# Starts PostgreSQL the way the official image does, with its variables and arguments.
set -eu

case "${1:-}" in
    postgres) ;;
    -*) set -- postgres "$@" ;;
    *) exec "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres "$PGDATA" /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user="${POSTGRES_USER:-postgres}"
    method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo "Error: set POSTGRES_PASSWORD to a non-empty value." >&2
        exit 1
    fi
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    secret="$(mktemp)"
    printf '%s\n' "${POSTGRES_PASSWORD:-unused}" > "$secret"
    # shellcheck disable=SC2086  # several options in one variable, as in the official image
    initdb --username="$user" --pwfile="$secret" --auth-host="$method" --auth-local=trust \
        --encoding=UTF8 --no-sync ${POSTGRES_INITDB_ARGS:-} > /dev/null
    rm "$secret"
    echo "host all all all $method" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    database="${POSTGRES_DB:-$user}"
    if [ "$database" != postgres ]; then
        quoted="$(printf '%s' "$database" | sed 's/"/""/g')"
        echo "CREATE DATABASE \"$quoted\"" | postgres --single -D "$PGDATA" postgres > /dev/null
    fi
fi

exec "$@"
