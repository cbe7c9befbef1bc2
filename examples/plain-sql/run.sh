#!/bin/sh
# A writer in Python, and the relay as a program of its own. Prints the events as JSON Lines.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
relay=${OUTBOX_RELAY_BIN:-$here/../../target/debug/outbox-relay}
[ -x "$relay" ] || cargo build --manifest-path "$here/../../Cargo.toml" --package outbox-relay
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$relay" migrate --quiet --database-url "sqlite:$folder/shop.db"
python3 "$here/writer.py" "$folder/shop.db"
"$relay" run --quiet --database-url "sqlite:$folder/shop.db" --publisher stdout --until-empty
