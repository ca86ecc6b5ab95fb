# shellcheck shell=bash
# Builds the programs of the test bed from the Go modules beside this file, once for each version.
#
# The result lies in $BIN, outside of the tree. Its name has a hash of what is built, so checkouts of
# different versions do not get in each other's way. What was compiled before a build was stopped is
# kept by Go's own cache; a program is moved to its place when it is whole. A compiler that outlives
# this script keeps the lock.

KUBERNETES=1.35.4
TOOLS="${LANDFALL_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/landfall-tools}"
CACHE="$TOOLS/kubernetes-$KUBERNETES"
BIN="$CACHE/$(cd "$FILES" && cat {.,crane,helm,kwok}/go.{mod,sum} ./*.go pod/*.go | sha256sum | cut -c1-12)"
PARTS=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

# What the server says that its version is.
v=k8s.io/component-base/version
VERSION_FLAGS="-X $v.gitVersion=v$KUBERNETES -X $v.gitTreeState=clean -X $v.gitMajor=1"
VERSION_FLAGS+=" -X $v.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")"

# build [helm]: everything that `up` needs; helm, which only the bench uses, when it is named.
build() {
  local wanted=(kubernetes pod kwok crane) program missing=
  [[ "${1:-}" != helm ]] || wanted+=(helm)
  for program in "${wanted[@]}"; do [[ -x "$BIN/$program" ]] || missing=1; done
  touch --no-create "$BIN" 2>/dev/null || true
  [[ -n "$missing" ]] || return 0
  need flock
  command -v go >/dev/null || lacks "the test bed's programs are not built yet, and Go is not here"
  # From 1.21 on, Go gets the version that a module asks for.
  (("$(go env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/')" >= 21)) || lacks "Go is older than 1.21"
  mkdir -p "$BIN"
  exec {lock}>"$CACHE/lock"
  flock --nonblock "$lock" || { say "waiting for another build in $CACHE"; flock "$lock"; }
  # What no checkout has used for two weeks.
  find "$CACHE" -mindepth 1 -maxdepth 1 -type d -mtime +14 -exec rm -rf {} +
  for program in "${PARTS[@]}"; do ln -sfn kubernetes "$BIN/$program"; done
  for program in "${wanted[@]}"; do build_one "$program"; done
  exec {lock}>&-
}

build_one() {
  case $1 in
  kubernetes) compile "$1" . . "$VERSION_FLAGS" ;;
  pod) compile "$1" . ./pod ;;
  kwok) compile "$1" kwok sigs.k8s.io/kwok/cmd/kwok ;;
  crane) compile "$1" crane github.com/google/go-containerregistry/cmd/crane ;;
  helm) compile "$1" helm helm.sh/helm/v4/cmd/helm ;;
  esac
}

# compile NAME FOLDER PACKAGE [LINKER FLAGS]: says every few seconds how far it is.
compile() {
  local name=$1 folder=$2 package=$3 flags=${4:-} log="$BIN/$1.log"
  local began=$SECONDS next=$((SECONDS + 2))
  [[ ! -x "$BIN/$name" ]] || return 0
  (cd "$FILES/$folder" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false exec go build -v -trimpath \
    -ldflags "-s -w $flags" -o "$BIN/$name.new" "$package") >"$log" 2>&1 &
  local compiler=$!
  # In a script, what runs in the background does not hear Ctrl-C.
  trap 'kill "$compiler" 2>/dev/null; exit 130' INT TERM HUP
  while kill -0 "$compiler" 2>/dev/null; do
    if ((SECONDS >= next)); then
      say "building $name: $(wc -l <"$log") steps, $((SECONDS - began)) s"
      next=$((SECONDS + 15))
    fi
    sleep 0.2
  done
  trap - INT TERM HUP
  wait "$compiler" || { tail -n 20 "$log" >&2; say "cannot build $name, see $log"; exit 1; }
  mv "$BIN/$name.new" "$BIN/$name"
  say "built $name in $((SECONDS - began)) s"
}
