#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# A host without systemd: / is private, and a container runtime runs, which refuses shared and slave volumes there.
W=$(mktemp -d); trap "rm -r $W" EXIT; cd $W; say mntscope audit --no-settings "$SCENES/08-private-root"
grep -q MNT009 out.txt || wrong "not a word of the private / that dockerd will refuse volumes on"
right "told (low is enough)"
