# shellcheck shell=bash
# Certificates of the bed's own, in $D/pki, which nobody else can read.

key_kind=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

quietly() {
  local said
  said=$("$@" 2>&1) || die "$1 $2 failed: $said"
}

# authority NAME
authority() {
  quietly openssl req -x509 "${key_kind[@]}" -days 3650 -subj "/CN=$1" \
    -keyout "$D/pki/$1.key" -out "$D/pki/$1.crt"
}

# certificate NAME SUBJECT [NAMES AND ADDRESSES]
certificate() {
  local file="$D/pki/$1"
  {
    echo "extendedKeyUsage=clientAuth,serverAuth"
    [[ -z "${3:-}" ]] || echo "subjectAltName=$3"
  } >"$file.ext"
  quietly openssl req -new "${key_kind[@]}" -subj "$2" -keyout "$file.key" -out "$file.csr"
  quietly openssl x509 -req -in "$file.csr" -CA "$D/pki/ca.crt" -CAkey "$D/pki/ca.key" \
    -CAcreateserial -days 365 -out "$file.crt" -extfile "$file.ext"
  rm "$file.csr" "$file.ext"
}

# kubeconfig NAME SUBJECT: credentials for the cluster in $D/etc/NAME.kubeconfig.
kubeconfig() {
  certificate "$1" "$2"
  cat >"$D/etc/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: testbed
contexts: [{name: testbed, context: {cluster: testbed, user: $1}}]
clusters:
- name: testbed
  cluster: {server: "https://$ADDRESS:$PORT", certificate-authority-data: $(base64 -w0 "$D/pki/ca.crt")}
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$D/pki/$1.crt")
    client-key-data: $(base64 -w0 "$D/pki/$1.key")
YAML
}

# Everything that the control plane needs. ADDRESS, PORT and NET are set.
control_plane_certificates() {
  local names=IP:$ADDRESS,IP:127.0.0.1,IP:$NET.2.1,DNS:localhost,DNS:kubernetes
  names+=,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  authority ca
  authority front-proxy-ca
  certificate apiserver "/CN=kube-apiserver" "$names"
  certificate apiserver-kubelet "/O=system:masters/CN=apiserver-kubelet"
  quietly openssl genrsa -out "$D/pki/sa.key" 2048
  quietly openssl rsa -in "$D/pki/sa.key" -pubout -out "$D/pki/sa.pub"
  kubeconfig admin "/O=system:masters/CN=admin"
  kubeconfig manager "/CN=system:kube-controller-manager"
  kubeconfig scheduler "/CN=system:kube-scheduler"
}
