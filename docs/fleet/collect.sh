#!/bin/sh
# A snapshot of each host, through ssh: `sh collect.sh DIRECTORY HOST ..` writes DIRECTORY/DAY/HOST.mntscope.json.gz.
# Each host has mntscope, and lets this user run it as root. One that fails is named, and the others are done.
set -u
umask 077

directory=$1/$(date -u +%F)
shift
mkdir -p "$directory" || exit 2
failed=0
for host in "$@"; do
    if ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" sudo -n mntscope capture -o - < /dev/null > "$directory/.$host"; then
        mv "$directory/.$host" "$directory/$host.mntscope.json.gz"
    else
        rm -f "$directory/.$host"
        echo "collect.sh: $host: no snapshot" >&2
        failed=1
    fi
done
exit $failed
