# shellcheck shell=bash
# etcd, the API server, the controllers and the scheduler; and kwok, which plays nodes.

# The API server's address is ADDRESS:PORT, Services get addresses of NET.2.0/24.
control_plane() {
  local etcd peer endpoint
  take_port etcd
  take_port peer
  # An address of this machine alone may not be the endpoint of the Service `kubernetes`.
  endpoint=(--advertise-address=192.0.2.1 --endpoint-reconciler-type=none)
  [[ "$ADDRESS" == 127.* ]] || endpoint=(--advertise-address="$ADDRESS")
  start etcd "$BIN/etcd" --data-dir "$D/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer"
  start apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd" "${endpoint[@]}" \
    --bind-address="$ADDRESS" --secure-port="$PORT" --service-cluster-ip-range="$NET.2.0/24" \
    --tls-cert-file="$D/pki/apiserver.crt" --tls-private-key-file="$D/pki/apiserver.key" \
    --client-ca-file="$D/pki/ca.crt" --requestheader-client-ca-file="$D/pki/front-proxy-ca.crt" \
    --kubelet-client-certificate="$D/pki/apiserver-kubelet.crt" \
    --kubelet-client-key="$D/pki/apiserver-kubelet.key" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$D/pki/sa.pub" --service-account-signing-key-file="$D/pki/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction,PodSecurity \
    --anonymous-auth=false --profiling=false \
    --audit-policy-file="$FILES/audit.yaml" --audit-log-path="$D/log/audit.log"
  # With the usual limits of the client, the ServiceAccount `default` comes 5 s late.
  start manager "$BIN/kube-controller-manager" --kubeconfig="$D/etc/manager.kubeconfig" \
    --leader-elect=false --secure-port=0 --use-service-account-credentials \
    --kube-api-qps=300 --kube-api-burst=500 --root-ca-file="$D/pki/ca.crt" \
    --service-account-private-key-file="$D/pki/sa.key" \
    --cluster-signing-cert-file="$D/pki/ca.crt" --cluster-signing-key-file="$D/pki/ca.key"
  start scheduler "$BIN/kube-scheduler" --kubeconfig="$D/etc/scheduler.kubeconfig" \
    --leader-elect=false --secure-port=0 --kube-api-qps=300 --kube-api-burst=500
}

# fake_nodes COUNT TAINTED: kwok, and nodes that it plays.
fake_nodes() {
  kubeconfig kwok "/O=system:masters/O=testbed:parts/CN=kwok"
  start kwok "$BIN/kwok" --kubeconfig="$D/etc/kwok.kubeconfig" --config="$FILES/stages.yaml" \
    --manage-all-nodes=false --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake \
    --node-lease-duration-seconds=40 --cidr="$NET.128.0/17" --node-ip=192.0.2.1 --server-address=
  (($1 > 0)) || return 0
  local number taints='[]'
  [[ -z "$2" ]] || taints='[{key: testbed.landfall.dev/fake, effect: NoSchedule}]'
  for ((number = 1; number <= $1; number++)); do
    cat <<YAML
---
apiVersion: v1
kind: Node
metadata:
  name: fake-$number
  annotations: {kwok.x-k8s.io/node: fake}
  labels:
    kubernetes.io/hostname: fake-$number
    topology.kubernetes.io/zone: zone-$((number % 3 + 1))
    testbed.landfall.dev/node: fake
spec: {taints: $taints}
YAML
  done >"$D/etc/nodes.yaml"
  (($1 < 100)) || say "making $1 fake nodes"
  "$BIN/kubectl" create --validate=false -f "$D/etc/nodes.yaml" >/dev/null
}
