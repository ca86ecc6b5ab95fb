#!/usr/bin/env bash
# Real object stores for the store's tests, on this machine alone.
#
#   eval "$(scripts/stores.sh start)"     install what is missing, start, print the variables
#   cargo test -p landfall-store
#   scripts/stores.sh stop
#   scripts/stores.sh moto                install moto alone, print its folder
#
# moto and s3rver speak S3, fake-gcs-server Google Cloud Storage, Azurite Azure blobs. All listen on
# 127.0.0.1 and keep everything in memory or below the cache folder. s3rver ignores
# `If-None-Match`: it is the store that must be refused. fake-gcs-server writes by Google's JSON API
# alone and has a small translator before it, gcs-xml.py. A server that cannot be had is left out,
# with a line on stderr; its tests are then skipped by name.
set -euo pipefail

MOTO=5.2.5 AZURITE=3.35.0 S3RVER=3.7.1 FAKE_GCS=1.56.1
tools="${LANDFALL_TOOLS:-$HOME/.cache/landfall-tools}"
run="$tools/stores"
mkdir -p "$run"

say() { echo "stores.sh: $*" >&2; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

alive() { [[ -s "$run/$1.pid" ]] && kill -0 "$(cat "$run/$1.pid")" 2>/dev/null; }

# Waits until something listens on a port, or its process is gone.
wait_for() {
  local name=$1 port=$2
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 0; fi
    alive "$name" || break
    sleep 0.1
  done
  say "$name did not start, see $run/$name.log"
  return 1
}

# launch NAME COMMAND…: starts a server unless it runs; `PORT` in the command is its port.
launch() {
  local name=$1
  shift
  if alive "$name"; then return 0; fi
  local port
  port=$(free_port)
  setsid "${@//PORT/$port}" >"$run/$name.log" 2>&1 </dev/null &
  echo $! >"$run/$name.pid"
  echo "$port" >"$run/$name.port"
  wait_for "$name" "$port"
}

url() { echo "http://127.0.0.1:$(cat "$run/$1.port")"; }

install_moto() {
  [[ -x "$tools/moto/bin/moto_server" ]] && return
  python3 -m venv "$tools/moto" && "$tools/moto/bin/pip" -q install "moto[server,s3]==$MOTO"
}

install_node() {
  local name=$1 version=$2
  [[ -x "$tools/$name/node_modules/.bin/$name" ]] && return
  npm --prefix "$tools/$name" install --silent --no-fund --no-audit "$name@$version"
}

install_fake_gcs() {
  [[ -x "$tools/bin/fake-gcs-server" ]] && return
  CGO_ENABLED=0 GOBIN="$tools/bin" go install -ldflags '-s -w' \
    "github.com/fsouza/fake-gcs-server@v$FAKE_GCS"
}

start_moto() {
  install_moto >&2 &&
    launch moto "$tools/moto/bin/moto_server" -H 127.0.0.1 -p PORT &&
    curl -fsS -o /dev/null -X PUT "$(url moto)/landfall" &&
    echo "export LANDFALL_TEST_S3=$(url moto)"
}

start_s3rver() {
  install_node s3rver "$S3RVER" >&2 && mkdir -p "$run/s3rver.data" &&
    launch s3rver "$tools/s3rver/node_modules/.bin/s3rver" \
      -d "$run/s3rver.data" -a 127.0.0.1 -p PORT --configure-bucket landfall &&
    echo "export LANDFALL_TEST_S3RVER=$(url s3rver)"
}

start_gcs() {
  install_fake_gcs >&2 &&
    launch gcs "$tools/bin/fake-gcs-server" -scheme http -host 127.0.0.1 -port PORT \
      -backend memory -public-host 127.0.0.1:PORT &&
    { curl -fsS -o /dev/null "$(url gcs)/storage/v1/b/landfall" 2>/dev/null ||
      curl -fsS -o /dev/null -H 'content-type: application/json' -d '{"name":"landfall"}' \
        "$(url gcs)/storage/v1/b?project=test"; } &&
    launch gcs-xml python3 "$(dirname "$0")/gcs-xml.py" PORT "$(url gcs)" &&
    echo "export LANDFALL_TEST_GCS=$(url gcs-xml)"
}

start_azure() {
  install_node azurite "$AZURITE" >&2 &&
    launch azure "$tools/azurite/node_modules/.bin/azurite-blob" --blobHost 127.0.0.1 \
      --blobPort PORT --inMemoryPersistence --skipApiVersionCheck --disableTelemetry --silent &&
    python3 "$(dirname "$0")/azurite-container.py" "$(url azure)" landfall &&
    echo "export LANDFALL_TEST_AZURE=$(url azure)"
}

case "${1:-}" in
start)
  for server in moto s3rver gcs azure; do
    "start_$server" || say "$server is left out"
  done
  ;;
moto)
  install_moto >&2 && echo "$tools/moto"
  ;;
stop)
  for server in moto s3rver gcs-xml gcs azure; do
    if alive "$server"; then kill "$(cat "$run/$server.pid")" || true; fi
    rm -f "$run/$server.pid" "$run/$server.port"
  done
  ;;
*)
  sed -n '2,14p' "$0" >&2
  exit 2
  ;;
esac
