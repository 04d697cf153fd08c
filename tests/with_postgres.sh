#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own, whose address is in VERIFINE_TEST_POSTGRES; without PostgreSQL, or
# where the address is given, just the command.
#
# It is thrown away at the end, so nothing is brought to stable storage: starting it takes about two seconds.
set -u

programs=$(command -v initdb >/dev/null && dirname "$(readlink -f "$(command -v initdb)")")
programs=${programs:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)}
if [ -n "${VERIFINE_TEST_POSTGRES:-}" ] || [ ! -x "$programs/initdb" ]; then
    exec "$@"
fi

as_server=()
if [ "$(id -u)" = 0 ]; then # the server refuses to be root
    as_server=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    id postgres >/dev/null 2>&1 || exec "$@"
fi
folder=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/verifine-postgres-XXXXXX")
[ "$(id -u)" = 0 ] && chown postgres "$folder"

stop() {
    cd / && "${as_server[@]}" "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

(
    cd "$folder" &&
        "${as_server[@]}" "$programs/initdb" -D data -U verifine --auth=trust --no-sync --no-locale -E UTF8 &&
        "${as_server[@]}" "$programs/pg_ctl" -D data -w -l server.log -o "-k $folder -c listen_addresses= -c fsync=off \
            -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" start
) >"$folder/start.log" 2>&1 || {
    cat "$folder/start.log" "$folder/server.log" >&2
    exit 1
}
VERIFINE_TEST_POSTGRES="postgresql://verifine@/postgres?host=$folder" "$@"
