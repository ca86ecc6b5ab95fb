#!/usr/bin/env bash
# An AWS for tests, on this machine alone: moto with what it lacks, see aws/serve.py.
#
#   eval "$(scripts/aws.sh up DIR)"     start on a free port of 127.0.0.1, print the variables
#     --while PID                         end by itself when that process ends
#   cargo test -p landfall-aws
#   scripts/aws.sh down DIR             end it; the log and the calls stay in DIR
#
# DIR/calls.jsonl has a line for each call. What is created in it is gone at the end. Exit code 3
# means that moto cannot be had here, so that a test can be skipped by name.
set -euo pipefail

say() { echo "aws.sh: $*" >&2; }

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

alive() { [[ -s "$1/aws.pid" ]] && kill -0 "$(cat "$1/aws.pid")" 2>/dev/null; }

up() {
  local folder=$1 owner=''
  shift
  while (($# > 0)); do
    case $1 in
    --while) owner=${2:?a process} && shift ;;
    *) say "up does not know $1" && exit 2 ;;
    esac
    shift
  done
  mkdir -p "$folder"
  if ! alive "$folder"; then
    local moto
    moto=$("$here/stores.sh" moto) || { say "moto cannot be installed" && exit 3; }
    rm -f "$folder/aws.port"
    setsid "$moto/bin/python" -B "$here/aws/serve.py" "$folder" ${owner:+--while "$owner"} \
      >"$folder/aws.log" 2>&1 </dev/null &
    echo $! >"$folder/aws.pid"
    for _ in $(seq 300); do
      [[ -s "$folder/aws.port" ]] && break
      alive "$folder" || break
      sleep 0.1
    done
    [[ -s "$folder/aws.port" ]] || { say "moto did not start, see $folder/aws.log" && exit 1; }
  fi
  echo "export LANDFALL_TEST_AWS=http://127.0.0.1:$(cat "$folder/aws.port")"
}

down() {
  if alive "$1"; then kill "$(cat "$1/aws.pid")" || true; fi
  rm -f "$1/aws.pid" "$1/aws.port"
}

case "${1:-}" in
up) up "${2:?a folder}" "${@:3}" ;;
down) down "${2:?a folder}" ;;
*)
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2
  exit 2
  ;;
esac
