# shellcheck shell=bash
# The processes of a bed: started, watched and ended.
#
# Each has LANDFALL_BED=DIR in its environment. That names it beyond doubt, also after its pid file
# was lost, or this script was killed before it wrote one: `end_all` finds it in /proc.

say() { echo "kubernetes.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# lacks WHAT: this machine cannot do it; whoever tests with this says `skipped`.
lacks() { say "$*"; exit 3; }

# need PROGRAM…
need() {
  local program missing=()
  for program in "$@"; do command -v "$program" >/dev/null || missing+=("$program"); done
  ((${#missing[@]} == 0)) || lacks "not here: ${missing[*]}"
}

# Where the processes of this bed run: words that are put before a command.
INSIDE=()

# start NAME COMMAND…: in the background, in the node's namespaces if there are any.
start() {
  local name=$1
  shift
  LANDFALL_BED=$D setsid "${INSIDE[@]}" "$@" >"$D/log/$name.log" 2>&1 </dev/null &
  local pid=$!
  disown
  echo "$pid" >"$D/pid/$name"
  # Before the program is there, its environment is this script's.
  until ours "$pid" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
}

# ours PID: whether it is a living process of this bed.
ours() { grep -qzxF "LANDFALL_BED=$D" "/proc/$1/environ" 2>/dev/null; }

alive() { [[ -s "$D/pid/$1" ]] && ours "$(<"$D/pid/$1")"; }

# Every process of this bed, by pid.
all() {
  { grep -lzxF "LANDFALL_BED=$D" /proc/[0-9]*/environ 2>/dev/null || true; } | cut -d/ -f3
}

# until_ok SECONDS WHAT COMMAND…: fails at once when a process of the bed has ended meanwhile.
until_ok() {
  local end=$((SECONDS + $1)) what=$2 file name
  shift 2
  until "$@" >/dev/null 2>&1; do
    for file in "$D"/pid/*; do
      name=${file##*/}
      alive "$name" && continue
      tail -n 5 "$D/log/$name.log" >&2
      die "$name has ended; logs are in $D/log"
    done
    ((SECONDS < end)) || die "$what is not ready after its time; logs are in $D/log"
    sleep 0.1
  done
}

# Ends everything. Nothing of a bed is worth a grace period: what it wrote goes with it.
end_all() {
  local pids
  while pids=$(all) && [[ -n "$pids" ]]; do
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.05
  done
}

# reserve NAME: a lock that lasts as long as this script or any process of the bed, which inherit it.
reserve() {
  local file="$TOOLS/reserved/$1" descriptor
  mkdir -p "${file%/*}"
  exec {descriptor}>"$file"
  if flock --nonblock "$descriptor"; then return 0; fi
  exec {descriptor}>&-
  return 1
}

# take_port VARIABLE: a free port of 127.0.0.1 that no other bed takes.
take_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 1000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && reserve "port-$port"; then break; fi
  done
  printf -v "$1" %s "$port"
}
