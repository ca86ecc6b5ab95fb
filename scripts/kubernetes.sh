#!/usr/bin/env bash
# A real Kubernetes for tests and for a first try, on this machine alone.
#
#   kubernetes.sh build [helm]        build its programs, once for each version: 5 to 12 minutes
#   kubernetes.sh up DIR              start a control plane on 127.0.0.1: no root needed
#     --kwok                            and kwok, for fake nodes that a test makes itself
#     --nodes N                         and N fake nodes; scripts/kubernetes/stages.yaml steers their pods
#     --node                            and a real node in namespaces of its own: root, Debian's containerd
#     --while PID                       end by itself when that process ends
#   kubernetes.sh down DIR            end all of it, also what was started by half; the logs stay
#   kubernetes.sh in DIR COMMAND…     run a command in the real node's namespaces
#   kubernetes.sh image NAME:TAG PROGRAM OUT.tar [FILE=PATH…]
#                                     make an image of one static program
#   kubernetes.sh load DIR IMAGE.tar  put an image onto the real node
#
# `up` prints `export KUBECONFIG=…`. DIR/log has the logs, and the audit log; DIR/bin the programs,
# kubectl among them. Everything is built from Go modules. Exit code 3 means that this machine lacks
# something, so that a test can be skipped by name.
set -euo pipefail
umask 077

FILES="$(cd "$(dirname "${BASH_SOURCE[0]}")/kubernetes" && pwd)"
SELF="$(dirname "$FILES")/kubernetes.sh"
for part in processes build certificates control-plane node; do
  # shellcheck source=/dev/null
  . "$FILES/$part.sh"
done

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$SELF" >&2
  exit 2
}

# bed DIR: the folder of a bed, in D. Only what `up` made itself is ever removed.
bed() { D=$(realpath -m "${1:?a folder}"); }
is_bed() { [[ -e "$D/landfall-testbed" ]]; }

up() {
  bed "$1"
  shift
  local nodes='' real='' owner=''
  while (($# > 0)); do
    case $1 in
    --kwok) nodes=${nodes:-0} ;;
    --nodes) nodes=${2:?how many} && shift ;;
    --node) real=1 ;;
    --while) owner=${2:?a process} && shift ;;
    *) die "up does not know $1" ;;
    esac
    shift
  done
  need openssl setsid realpath
  [[ -z "$real" ]] || node_is_possible
  build
  is_bed || [[ ! -e "$D" || -z "$(ls -A "$D")" ]] || die "$D is not empty, and no test bed"
  mkdir -p "$D"
  touch "$D/landfall-testbed"
  mkdir "$D/pid" 2>/dev/null || die "$D is in use: end it with $SELF down $D"
  ln -sfn "$BIN" "$D/bin"
  trap 'left_with $?' EXIT
  trap 'exit 130' INT TERM HUP
  SECONDS=0
  say "starting etcd, the API server, controllers and scheduler${real:+, and a node}"
  begin "$real"
  finish "$real" "$nodes"
  [[ -z "$owner" ]] || watch "$owner"
  trap - EXIT
  say "ready after $SECONDS s"
  printf 'export KUBECONFIG=%q\n' "$KUBECONFIG"
}

# Nothing stays of a bed that could not be started.
# shellcheck disable=SC2317
left_with() {
  (($1 == 0)) || take_down
}

# begin REAL: everything that need not wait for the API server.
# shellcheck disable=SC2034
begin() {
  rm -rf "${D:?}/log"
  mkdir -p "$D"/{pki,etc,log,etcd}
  NET=10.77
  if [[ -n "$1" ]]; then
    take_network
    namespaces
    ADDRESS=$NET.0.2 PORT=6443
  else
    ADDRESS=127.0.0.1
    take_port PORT
  fi
  control_plane_certificates
  control_plane
  [[ -z "$1" ]] || runtime
}

# finish REAL NODES: nodes, and waits until pods can be made.
finish() {
  export KUBECONFIG="$D/etc/admin.kubeconfig" KUBECACHEDIR="$D/etc/cache"
  until_ok 60 "the API server" "$BIN/kubectl" get --raw /readyz
  [[ -z "$1" ]] || node
  [[ -z "$2" ]] || fake_nodes "$2" "$1"
  until_ok 60 "the ServiceAccount default" "$BIN/kubectl" get serviceaccount default
  local wanted=$((${1:-0} + ${2:-0}))
  ((wanted == 0)) || until_ok 120 "every node" schedulable "$wanted"
}

# schedulable COUNT: whether so many nodes are ready, and a controller has taken their taints away.
# shellcheck disable=SC2317
schedulable() {
  local said
  local node='{.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].key}'
  said=$("$BIN/kubectl" get nodes -o "jsonpath={range .items[*]}$node{'\n'}{end}")
  [[ "$said" != *node.kubernetes.io/* ]] && (("$(grep -c ^True <<<"$said")" == $1))
}

# watch PID: takes the bed down when that process has ended.
watch() {
  INSIDE=()
  # shellcheck disable=SC2016
  start owner bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.5; done
    exec env --unset=LANDFALL_BED "$2" down "$3"' owner "$1" "$SELF" "$D"
}

take_down() {
  end_all
  is_bed || return 0
  remove_cgroups
  rm -rf "${D:?}"/{bin,cgroup,etc,etcd,pid,pki,var-lib,var-log}
}

# node_of_bed: INSIDE leads into the namespaces of the bed's node.
node_of_bed() {
  alive node || die "$D has no real node"
  INSIDE=(nsenter -t "$(<"$D/pid/node")" --mount --net --pid --)
}

# A function is read as a whole: this file may change while a build runs.
main() {
  case ${1:-} in
  build)
    build "${2:-}"
    echo "$BIN"
    ;;
  up) up "${@:2}" ;;
  down)
    bed "${2:-}"
    take_down
    ;;
  in)
    bed "${2:-}"
    node_of_bed
    exec "${INSIDE[@]}" "${@:3}"
    ;;
  image)
    (($# >= 4)) || usage
    image "${@:2}"
    ;;
  load)
    bed "${2:-}"
    node_of_bed
    load "${3:?an image}"
    ;;
  *) usage ;;
  esac
  exit
}

main "$@"
