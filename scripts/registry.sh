#!/usr/bin/env bash
# A real registry for images, for the tests of what speaks to one.
#
#   eval "$(scripts/registry.sh install)"    fetch what is missing, print the variable
#   cargo test -p landfall-registry
#
# It is Debian's docker-registry. Where root may install packages it is fetched by apt, but unpacked
# below the cache folder instead of installed: the package would start a registry for the whole
# machine. Nothing is started here; each test starts one of its own on 127.0.0.1. Where it cannot be
# had, a line on stderr says so, and its tests are skipped by name.
set -euo pipefail

tools="${LANDFALL_TOOLS:-$HOME/.cache/landfall-tools}"
program="$tools/registry/usr/bin/docker-registry"

say() { echo "registry.sh: $*" >&2; }

# Prints the program's path, or nothing.
installed() {
  if command -v docker-registry; then return 0; fi
  [[ -x "$program" ]] && echo "$program"
}

fetch() {
  if [[ "$(id -u)" != 0 ]] || ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    say "docker-registry is not installed, and only root on Debian can fetch it: apt-get install docker-registry"
    return 1
  fi
  local folder
  folder=$(mktemp -d)
  # apt gives up its rights to download, and has to write here all the same.
  chmod 0777 "$folder"
  (cd "$folder" && { apt-get -qq download docker-registry || { apt-get -qq update && apt-get -qq download docker-registry; }; }) >&2 &&
    mkdir -p "$tools/registry" &&
    dpkg-deb -x "$folder"/docker-registry_*.deb "$tools/registry" &&
    "$program" --version >&2
  local done=$?
  rm -rf "$folder"
  return "$done"
}

case "${1:-}" in
install)
  installed >/dev/null || fetch || say "docker-registry is left out"
  if path=$(installed); then echo "export LANDFALL_TEST_REGISTRY=$path"; fi
  ;;
*)
  sed -n '2,10p' "$0" >&2
  exit 2
  ;;
esac
