#!/usr/bin/env bash
# Runs the pytest command it is given with its temporary files in memory, if there is a file system there that has room
# for them. The tests sync ten thousand files, which on a disk takes milliseconds each and is most of what they wait for.
# What they claim does not need a disk: a killed process loses nothing that it wrote, wherever that is. The tests of what
# a real file system does take a folder elsewhere (the fixture `disk_folder`).
set -euo pipefail
memory=/dev/shm
needed_kib=$((6 << 20)) # two checkpoints of a real model, and the rest
spare_kib=$((6 << 20))  # what the tests themselves need

has_room() {
    [ -d "$memory" ] && [ -w "$memory" ] && [ -r /proc/meminfo ] || return 1
    local free_kib available_kib
    free_kib=$(df -Pk "$memory" | awk 'NR == 2 { print $4 }')
    available_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
    [ "$free_kib" -ge "$needed_kib" ] && [ "$available_kib" -ge $((needed_kib + spare_kib)) ]
}

has_room || exec "$@"
folder=$(mktemp -d "$memory/verifine-tests.XXXXXX") # of its own, since another run may be at it
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Some tests start programs that they wrote.
printf '#!/bin/sh\n' >"$folder/program" && chmod +x "$folder/program"
if "$folder/program" 2>/dev/null; then
    "$@" --basetemp "$folder/pytest"
else
    "$@"
fi
