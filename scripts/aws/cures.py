"""What moto 5.2.5 lacks for network load balancers, certificates and clusters, put right.

TLS listeners can be modified; policies and certificates must exist, and a load balancer must be
able to use the key; targets are known by address and port, and go through initial, healthy,
unhealthy, draining and unused; a load balancer takes time to become active; listings have pages;
a certificate in use cannot be deleted; a cluster knows its network and Auto Mode.
"""

import time

from cryptography.hazmat.primitives.asymmetric import rsa
from moto.acm import models as acm
from moto.acm.exceptions import AWSError
from moto.acm.responses import AWSCertificateManagerResponse as AcmResponse
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.eks.responses import EKSResponse
from moto.elbv2 import models as elb
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.responses import ELBV2Response as ElbResponse
from moto.elbv2.ssl_policies import SSL_POLICIES

USUAL = {"healthy_after": 0.0, "active_after": 0.0, "drain_max": 5.0, "unhealthy": [], "page_size": 400}
SETTINGS = {}


def settings(account):
    """The settings of an account, made of the usual ones at first."""
    return SETTINGS.setdefault(account, dict(USUAL))


class InUse(AWSError):
    TYPE = "ResourceInUseException"


def listeners_of(backend):
    return [it for balancer in backend.load_balancers.values() for it in balancer.listeners.values()]


# Listeners


def allowed(response, balancer):
    """Refuses a policy or certificate that a listener cannot have."""
    policy = response._get_param("SslPolicy")
    if policy is not None and policy not in SSL_POLICIES:
        raise ELBClientError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")
    backend = response.elbv2_backend
    certificates = acm.acm_backends[backend.account_id][backend.region_name]._certificates
    for given in response._get_param("Certificates", []):
        arn = given["CertificateArn"]
        if not backend._certificate_exists(arn):
            raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")
        key = certificates[arn]._key if arn in certificates else None
        network = balancer is not None and balancer.type == "network"
        if network and isinstance(key, rsa.RSAPrivateKey) and key.key_size > 3072:
            text = f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported key size."
            raise ELBClientError("UnsupportedCertificate", text)


def listener_of(response):
    arn = response._get_param("ListenerArn")
    return response.elbv2_backend.describe_listeners(load_balancer_arn=None, listener_arns=[arn])[0]


def balancer_of(response, arn):
    return response.elbv2_backend.load_balancers.get(arn)


def creating(create):
    def create_listener(self):
        allowed(self, balancer_of(self, self._get_param("LoadBalancerArn")))
        return create(self)

    return create_listener


def adding(add):
    def add_listener_certificates(self):
        listener = listener_of(self)
        allowed(self, balancer_of(self, listener.load_balancer_arn))
        return add(self)

    return add_listener_certificates


def modifying(modify):
    def modify_listener(self):
        listener = listener_of(self)
        if "TLS" not in (self._get_param("Protocol"), listener.protocol):
            return modify(self)
        allowed(self, balancer_of(self, listener.load_balancer_arn))
        for name, field in (("Protocol", "protocol"), ("Port", "port"), ("SslPolicy", "ssl_policy")):
            if (value := self._get_param(name)) is not None:
                setattr(listener, field, value)
        if (alpn := self._get_param("AlpnPolicy")) is not None:
            listener.alpn_policy = alpn
        if certificates := self._get_param("Certificates"):
            first = certificates[0]["CertificateArn"]
            listener.certificate, listener.certificates = first, [first, *listener.certificates[1:]]
        if actions := self._get_param("DefaultActions"):
            listener.default_actions = [elb.FakeAction(it) for it in actions]
            listener._default_rule[0].actions = listener.default_actions
            relink(self.elbv2_backend, listener.load_balancer_arn)
        return ActionResult({"Listeners": [listener]})

    return modify_listener


def relink(backend, balancer):
    """A target group knows which load balancers send to it."""
    used = {
        arn
        for listener in backend.load_balancers[balancer].listeners.values()
        for action in listener.default_actions
        if action.type == "forward"
        for arn in backend._get_target_group_arns_from(action_data=action.data)
    }
    for group in backend.target_groups.values():
        others = [arn for arn in group.load_balancer_arns if arn != balancer]
        group.load_balancer_arns = others + ([balancer] if group.arn in used else [])


def add_certificates(self, arn, certificates):
    """The default certificate is apart from the others, and may be among them too."""
    listener = self.describe_listeners(load_balancer_arn=None, listener_arns=[arn])[0]
    for given in certificates:
        if given["CertificateArn"] not in listener.certificates[1:]:
            listener.certificates.append(given["CertificateArn"])
    return listener.certificates


def remove_certificates(self, arn, certificates):
    listener = self.describe_listeners(load_balancer_arn=None, listener_arns=[arn])[0]
    gone = {given["CertificateArn"] for given in certificates}
    listener.certificates[1:] = [it for it in listener.certificates[1:] if it not in gone]


# Targets


def address(target, group):
    return target["Id"], int(target.get("Port") or group.port)


def register(self, targets):
    for target in targets:
        where = address(target, self)
        self.deregistered_targets.pop(where, None)
        if where not in self.targets:
            self.targets[where] = {"Id": where[0], "Port": where[1], "since": time.time()}


def deregister(self, targets):
    delay = float(self.attributes.get("deregistration_delay.timeout_seconds", 300))
    until = time.time() + min(delay, settings(self.account_id)["drain_max"])
    for target in targets:
        where = address(target, self)
        if "Port" not in target:
            where = next((it for it in self.targets if it[0] == target["Id"]), where)
        gone = self.targets.pop(where, None)
        if gone is None:
            raise elb.InvalidTargetError()
        self.deregistered_targets[where] = {**gone, "until": until}


def state(group, target):
    """The state of a target with its reason and its words."""
    account = settings(group.account_id)
    if "until" in target:
        return "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
    if not group.load_balancer_arns:
        return "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
    if target["Id"] in account["unhealthy"]:
        return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"
    if time.time() < target["since"] + account["healthy_after"]:
        return "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
    return ("healthy",)


def describe_health(self, target_group_arn, targets):
    group = self.target_groups.get(target_group_arn)
    if group is None:
        raise elb.TargetGroupNotFoundError()
    now = time.time()
    drained = [where for where, it in group.deregistered_targets.items() if it.get("until", 0) < now]
    for where in drained:
        del group.deregistered_targets[where]
    known = {**group.deregistered_targets, **group.targets}
    missing = ("unused", "Target.NotRegistered", "Target is not registered to the target group")
    asked = [address(it, group) for it in targets] or list(known)
    return [
        elb.FakeHealthStatus(*where, group.health_check_port, *(state(group, known[where]) if where in known else missing))
        for where in asked
    ]


# Load balancers


def making(create):
    def create_load_balancer(self, *args, **given):
        balancer = create(self, *args, **given)
        balancer.made, balancer.account = time.time(), self.account_id
        if balancer.type == "network":
            tags = self.tagging_service.list_tags_for_resource(balancer.arn)["Tags"]
            self.tagging_service.delete_all_tags_for_resource(balancer.arn)
            del self.load_balancers[balancer.arn]
            balancer.arn = balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/")
            self.load_balancers[balancer.arn] = balancer
            self.tagging_service.tag_resource(balancer.arn, tags)
        return balancer

    return create_load_balancer


def activate(self):
    if self.state == "provisioning" and time.time() >= self.made + settings(self.account)["active_after"]:
        self.state = "active"


# Pages


def paged(describe, name):
    def described(self):
        answer = describe(self)
        items, start = list(answer.result[name]), int(self._get_param("Marker") or 0)
        end = start + (self._get_int_param("PageSize") or settings(self.current_account)["page_size"])
        following = {"NextMarker": str(end)} if end < len(items) else {}
        return ActionResult({**answer.result, name: items[start:end], **following})

    return described


# Certificates and clusters


def listing(listed):
    """Pages, names, and keys other than RSA only for whoever asks for them, as ACM does."""

    def list_certificates(self):
        wanted = (self._get_param("Includes") or {}).get("keyTypes") or ["RSA_1024", "RSA_2048"]
        items = [it for it in listed(self).result["CertificateSummaryList"] if it["KeyAlgorithm"] in wanted]
        for item in items:
            names = item["SubjectAlternativeNames"]
            item["SubjectAlternativeNameSummaries"] = names[:100]
            item["HasAdditionalSubjectAlternativeNames"] = len(names) > 100
        start = int(self._get_param("NextToken") or 0)
        most = self._get_param("MaxItems") or 1000
        end = start + min(int(most), settings(self.current_account)["page_size"])
        following = {"NextToken": str(end)} if end < len(items) else {}
        return ActionResult({"CertificateSummaryList": items[start:end], **following})

    return list_certificates


def looking(get):
    """A certificate knows who uses it now."""

    def get_certificate(self, arn):
        bundle = get(self, arn)
        backend = elb.elbv2_backends[self.account_id][self.region_name]
        users = {it.load_balancer_arn for it in listeners_of(backend) if arn in it.certificates}
        bundle.in_use_by = sorted(users)
        return bundle

    return get_certificate


def deleting(delete):
    def delete_certificate(self, arn):
        if arn in self._certificates and self.get_certificate(arn).in_use_by:
            raise InUse(f"Certificate {arn} in account {self.account_id} is in use.")
        return delete(self, arn)

    return delete_certificate


def building(create):
    def create_cluster(self):
        answer = create(self)
        cluster = answer.result["cluster"]
        cluster.compute_config = self._get_param("computeConfig")
        subnets = (cluster.resources_vpc_config or {}).get("subnetIds") or []
        known = ec2_backends[self.current_account][self.region]
        networks = [it.vpc_id for it in map(known.get_subnet, subnets) if it is not None] if subnets else []
        if networks:
            cluster.resources_vpc_config = {**cluster.resources_vpc_config, "vpcId": networks[0]}
        return answer

    return create_cluster


def apply():
    """Puts the cures into moto."""
    ElbResponse.create_listener = creating(ElbResponse.create_listener)
    ElbResponse.modify_listener = modifying(ElbResponse.modify_listener)
    ElbResponse.add_listener_certificates = adding(ElbResponse.add_listener_certificates)
    for action, name in {
        "describe_listeners": "Listeners",
        "describe_target_groups": "TargetGroups",
        "describe_listener_certificates": "Certificates",
        "describe_ssl_policies": "SslPolicies",
    }.items():
        setattr(ElbResponse, action, paged(getattr(ElbResponse, action), name))
    shapes = ElbResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER
    for path in [it for it in shapes if it.endswith("Listener.Certificates")]:
        shapes[path] = lambda arns: [{"CertificateArn": arn} for arn in arns[:1]] or None
    backend, group = elb.ELBv2Backend, elb.FakeTargetGroup
    backend.create_load_balancer = making(backend.create_load_balancer)
    backend.add_listener_certificates = add_certificates
    backend.remove_listener_certificates = remove_certificates
    backend.describe_target_health = describe_health
    group.register, group.deregister = register, deregister
    elb.FakeLoadBalancer.activate = activate
    elb.FakeLoadBalancer.enable_prefix_for_ipv6_source_nat = "off"
    AcmResponse.list_certificates = listing(AcmResponse.list_certificates)
    store = acm.AWSCertificateManagerBackend
    store.get_certificate = looking(store.get_certificate)
    store.delete_certificate = deleting(store.delete_certificate)
    EKSResponse.create_cluster = building(EKSResponse.create_cluster)
