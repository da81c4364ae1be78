#!/bin/bash
# The part of the official image's contract that charts use: POSTGRES_USER, _PASSWORD, _DB (each also as _FILE),
# POSTGRES_INITDB_ARGS, PGDATA and /docker-entrypoint-initdb.d, when the data folder is empty.
set -euo pipefail
[ "${1:0:1}" != - ] || set -- postgres "$@"
[ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ] || exec "$@"

read_setting() { local file="$1_FILE"; if [ -n "${!file:-}" ]; then cat "${!file}"; else printf %s "${!1:-$2}"; fi; }
user=$(read_setting POSTGRES_USER postgres)
database=$(read_setting POSTGRES_DB "$user")
password=$(read_setting POSTGRES_PASSWORD "")
[ -n "$password" ] || { echo "Error: POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) must not be empty" >&2; exit 1; }

mkdir -p "$PGDATA" && chmod 0700 "$PGDATA"
eval "initdb -U \"\$user\" --pwfile=<(echo \"\$password\") --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}"
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
pg_ctl start -w -o "-c listen_addresses=''"
sql() { psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc -U "$user" -d "$database" "$@"; }
[ "$database" = postgres ] || database=postgres sql -v name="$database" <<<'CREATE DATABASE :"name"'
for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
        *.sh) . "$file" ;;
        *.sql) sql -f "$file" ;;
        *.sql.gz) gunzip -c "$file" | sql ;;
    esac
done
pg_ctl stop -m fast -w
exec "$@"
