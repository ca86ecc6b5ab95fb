# shellcheck shell=bash
# A real node: Debian's containerd and runc, kubelet and kube-proxy, and a registry, in namespaces.
#
# One mount, network and pid namespace holds the whole bed. Killing its first process ends every
# container, mount, route and packet rule in it. NET is its network: NET.0.1 is this machine, NET.0.2
# the node, NET.1.0/24 its pods, NET.2.0/24 the Services; this machine reaches all of them.

NODE_PROGRAMS=(containerd containerd-shim-runc-v2 runc ctr nft conntrack ip nsenter unshare busybox)
NODE_PACKAGES=(containerd runc containernetworking-plugins nftables conntrack iproute2 busybox-static)

cgroup_roots() { # version 2 has one, version 1 a folder for each controller
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then echo /sys/fs/cgroup; else printf '%s\n' /sys/fs/cgroup/*/; fi
}

node_is_possible() {
  local program missing=()
  [[ "$(id -u)" == 0 ]] || lacks "--node needs root"
  case $D in /var/lib/* | /var/log/* | /run/*) die "with --node, DIR must not be below /var/lib, /var/log or /run" ;; esac
  for program in "${NODE_PROGRAMS[@]}"; do command -v "$program" >/dev/null || missing+=("$program"); done
  [[ -x /usr/lib/cni/bridge ]] || missing+=(/usr/lib/cni/bridge)
  ((${#missing[@]} == 0)) || lacks "--node needs ${missing[*]}: apt-get install ${NODE_PACKAGES[*]}"
}

# Sets NET to a network that neither another bed nor this machine uses.
take_network() {
  local number
  for number in {77..96}; do
    NET=10.$number
    if [[ -z "$(ip -4 route show to root "$NET.0.0/16")" ]] && reserve "net-$NET"; then return 0; fi
  done
  die "10.77.0.0/16 to 10.96.0.0/16 are all in use"
}

first_of_its_namespace() { [[ "$(awk '/^NSpid:/ {print $NF}' "/proc/$1/status")" == 1 ]]; }

namespaces() {
  local outer first link="lf${NET//./-}" root children
  start node unshare --mount --net --pid --fork --mount-proc --kill-child "$BIN/pod" pause
  outer=$(<"$D/pid/node")
  children="/proc/$outer/task/$outer/children"
  until_ok 10 "the node's namespaces" grep -q . "$children"
  first=$(tr -d ' ' <"$children")
  until_ok 10 "the node's namespaces" first_of_its_namespace "$first"
  echo "$first" >"$D/pid/node"
  INSIDE=(nsenter -t "$first" --mount --net --pid --)
  mkdir -p "$D/var-lib" "$D/var-log"
  ip link add "$link" type veth peer name up0 netns "$first"
  ip addr add "$NET.0.1/24" dev "$link"
  ip link set "$link" up
  ip route add "$NET.0.0/16" via "$NET.0.2"
  # What containerd and kubelet keep at fixed places is the bed's own.
  "${INSIDE[@]}" bash -ec "
    mount --make-rshared /
    mount -t tmpfs tmpfs /run
    mkdir -p /run/netns /run/containerd
    mount --bind '$D/var-lib' /var/lib
    mount --bind '$D/var-log' /var/log
    ip link set lo up
    ip addr add $NET.0.2/24 dev up0
    ip link set up0 up
    ip route add default via $NET.0.1
    echo 1 >/proc/sys/net/ipv4/ip_forward"
  echo "/landfall-testbed-$NET" >"$D/cgroup"
  for root in $(cgroup_roots); do mkdir -p "$root/landfall-testbed-$NET"; done
}

# The kernel empties the groups a moment after the last process.
remove_cgroups() {
  local group root left
  group=$(cat "$D/cgroup" 2>/dev/null) || return 0
  for _ in {1..50}; do
    left=
    for root in $(cgroup_roots); do
      [[ -d "$root$group" ]] || continue
      left=1
      find "$root$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    [[ -n "$left" ]] || return 0
    sleep 0.1
  done
  say "control groups $group are still there"
}

containerd_configuration() {
  mkdir -p "$D/etc/cni" "$D/etc/registries/$NET.0.2:5000"
  cat >"$D/etc/registries/$NET.0.2:5000/hosts.toml" <<TOML
[host."http://$NET.0.2:5000"]
TOML
  cat >"$D/etc/cni/10-testbed.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "testbed", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$NET.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  # Without restrict_oom_score_adj, runc fails where CAP_SYS_RESOURCE is missing.
  cat >"$D/etc/containerd.toml" <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "testbed.local/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$D/etc/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$D/etc/registries"
TOML
}

node_configuration() {
  # An image that was both loaded and pulled would be pulled anew, but for NeverVerify.
  cat >"$D/etc/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NET.0.2
readOnlyPort: 0
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /landfall-testbed-$NET
failCgroupV1: false
failSwapOn: false
imagePullCredentialsVerificationPolicy: NeverVerify
enforceNodeAllocatable: []
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $D/pki/ca.crt}}
authorization: {mode: Webhook}
resolvConf: ""
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
volumePluginDir: /var/lib/kubelet/volume-plugins
YAML
  cat >"$D/etc/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: node-1
clusterCIDR: $NET.1.0/24
clientConnection: {kubeconfig: $D/etc/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
YAML
}

# The node without its kubelet, while the API server starts.
runtime() {
  containerd_configuration
  # The root of a container, and what is mounted there, is for its own user as well.
  umask 022
  start containerd containerd --config "$D/etc/containerd.toml"
  umask 077
  start registry "$BIN/crane" registry serve --address "$NET.0.2:5000"
  local name busybox
  busybox=$(command -v busybox)
  CMD=pause image testbed.local/pause:1 "$BIN/pod" "$D/var-lib/pause.tar"
  # Its shell finds every other command in itself.
  CMD=serve IMAGE_USER=10001 image testbed.local/app:1 "$BIN/pod" "$D/var-lib/app.tar" \
    "$busybox=bin/sh" "$busybox=bin/busybox"
  until_ok 20 containerd "${INSIDE[@]}" ctr version
  for name in pause app; do load "$D/var-lib/$name.tar"; done
}

node() {
  kubeconfig kubelet "/O=system:nodes/CN=system:node:node-1"
  kubeconfig proxy "/CN=system:kube-proxy"
  node_configuration
  umask 022
  start kubelet "$BIN/kubelet" --config="$D/etc/kubelet.yaml" --kubeconfig="$D/etc/kubelet.kubeconfig" \
    --hostname-override=node-1 --node-ip="$NET.0.2" --root-dir=/var/lib/kubelet \
    --node-labels=testbed.landfall.dev/node=real,topology.kubernetes.io/zone=zone-1
  umask 077
  start proxy "$BIN/kube-proxy" --config="$D/etc/proxy.yaml"
}

# image NAME:TAG PROGRAM OUT.tar [FILE=PATH…]: an image of one static program, without any engine.
# CMD is its first argument, IMAGE_USER who it runs as.
image() (
  umask 022
  local name=$1 program=$2 out=$3 work digest file
  shift 3
  work=$(mktemp -d)
  mkdir -p "$work/root/tmp" "$work/root/etc"
  chmod 1777 "$work/root/tmp"
  install -m755 "$program" "$work/root/app"
  echo 'app:x:10001:10001::/:/app' >"$work/root/etc/passwd"
  for file in "$@"; do install -D -m755 "${file%%=*}" "$work/root/${file#*=}"; done
  tar -C "$work/root" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$work/layer.tar" .
  digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat >"$work/config.json" <<JSON
{"architecture": "$(arch_of_images)", "os": "linux",
 "config": {"Entrypoint": ["/app"], "Cmd": ["${CMD:-serve}"], "User": "${IMAGE_USER:-}", "Env": ["PATH=/bin:/"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
JSON
  echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$name\"], \"Layers\": [\"layer.tar\"]}]" >"$work/manifest.json"
  tar -C "$work" --mtime=@0 --owner=0 --group=0 -cf "$out" manifest.json config.json layer.tar
  rm -rf "$work"
)

arch_of_images() { case $(uname -m) in aarch64) echo arm64 ;; *) echo amd64 ;; esac; }

# load IMAGE.tar: onto the node.
load() { quietly "${INSIDE[@]}" ctr -n k8s.io images import "$(realpath "$1")"; }
