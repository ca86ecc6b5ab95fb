// The program against Pulumi's mocks: what it would ask AWS for, without an account.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { policy } from "../controller";
import { infrastructure } from "../infrastructure";
import { divide } from "../network";
import { settings } from "../settings";

const ACCOUNT = "111122223333";

interface Resource {
    type: string;
    name: string;
    inputs: Record<string, any>;
    provider: string;
}

type Outputs = Record<string, any>;

/** The configuration that is in the repository, so that the tests also read it. */
const CONFIG: Record<string, unknown> =
    parse(readFileSync("Pulumi.prod.yaml", "utf8")).config;

const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

function configure(changes: Record<string, unknown>) {
    const all = Object.entries({ ...CONFIG, ...changes }).filter(([, value]) => value !== undefined);
    pulumi.runtime.setAllConfig(Object.fromEntries(all.map(([key, value]) => [key, text(value)])));
}

/** What AWS would add to what was asked of it. */
function answered(type: string, name: string, inputs: Record<string, any>, region: string): Outputs {
    const arn = (service: string, what: string) => `arn:aws:${service}:${region}:${ACCOUNT}:${what}`;
    switch (type) {
        case "aws:eks/cluster:Cluster":
            return {
                arn: arn("eks", `cluster/${inputs.name}`),
                endpoint: "https://cluster.invalid",
                certificateAuthority: { data: "Y2E=" },
            };
        case "aws:acm/certificate:Certificate":
            return {
                arn: arn("acm", "certificate/00000000-0000-4000-8000-000000000000"),
                domainValidationOptions: [inputs.domainName, ...inputs.subjectAlternativeNames].map((it) => ({
                    domainName: it,
                    resourceRecordName: `_proof.${it}.`,
                    resourceRecordType: "CNAME",
                    resourceRecordValue: "_proof.acm-validations.aws.",
                })),
            };
        case "aws:ecr/repository:Repository":
            return { repositoryUrl: `${ACCOUNT}.dkr.ecr.${region}.amazonaws.com/${inputs.name}` };
        case "aws:route53/record:Record":
            return { fqdn: inputs.name };
        case "aws:ec2/launchTemplate:LaunchTemplate":
            return { latestVersion: 1 };
        default:
            return { arn: arn("mock", name) };
    }
}

function looked(token: string): Outputs {
    switch (token) {
        case "aws:index/getAvailabilityZones:getAvailabilityZones":
            return { names: ["a", "b", "c"].map((zone) => `${CONFIG["aws:region"]}${zone}`) };
        case "aws:index/getPartition:getPartition":
            return { partition: "aws" };
        case "aws:index/getCallerIdentity:getCallerIdentity":
            return { accountId: ACCOUNT };
        case "aws:lb/getHostedZoneId:getHostedZoneId":
            return { id: "ZNLB" };
        default:
            throw new Error(`nobody expects ${token}`);
    }
}

interface Made {
    all: Resource[];
    outputs: Outputs;
    of(type: string): Resource[];
    one(type: string): Resource;
}

/** Runs the program with the repository's configuration and these changes. */
async function run(changes: Record<string, unknown> = {}): Promise<Made> {
    configure(changes);
    const all: Resource[] = [];
    const region = text({ ...CONFIG, ...changes }["aws:region"]);
    await pulumi.runtime.setMocks({
        newResource: ({ type, name, inputs, provider }) => {
            all.push({ type, name, inputs, provider: provider ?? "" });
            return { id: `${name}-id`, state: { name, ...inputs, ...answered(type, name, inputs, region) } };
        },
        call: ({ token }) => looked(token),
    }, "landing", "test", false);
    const outputs = await new Promise<Outputs>((done) => {
        pulumi.output(infrastructure(settings())).apply(done);
    });
    await pulumi.runtime.disconnect();
    const of = (type: string) => all.filter((it) => it.type === type);
    const one = (type: string) => {
        const [found, ...more] = of(type);
        assert.ok(found && more.length === 0, `one ${type}, not ${of(type).length}`);
        return found;
    };
    return { all, outputs, of, one };
}

function refused(changes: Record<string, unknown>, words: RegExp) {
    configure(changes);
    assert.throws(() => settings(), words);
}

test("every subnet is tagged for the controller, and no two overlap", async () => {
    for (const zones of [2, 3]) {
        const made = await run({ "landing:zones": zones });
        const subnets = made.of("aws:ec2/subnet:Subnet");
        assert.equal(subnets.length, 2 * zones);
        for (const { name, inputs } of subnets) {
            const role = name.includes("public") ? "elb" : "internal-elb";
            assert.equal(inputs.tags["kubernetes.io/cluster/shop"], "shared", name);
            assert.equal(inputs.tags[`kubernetes.io/role/${role}`], "1", name);
            const roles = Object.keys(inputs.tags).filter((key) => key.startsWith("kubernetes.io/role/"));
            assert.equal(roles.length, 1, name);
        }
        assert.equal(new Set(subnets.map((it) => it.inputs.cidrBlock)).size, 2 * zones);
        assert.equal(new Set(subnets.map((it) => it.inputs.availabilityZone)).size, zones);
    }
});

test("a network is divided without an overlap", () => {
    assert.deepEqual(divide("10.20.0.0/16", 3), {
        private: ["10.20.0.0/18", "10.20.64.0/18", "10.20.128.0/18"],
        public: ["10.20.192.0/22", "10.20.196.0/22", "10.20.200.0/22"],
    });
    assert.deepEqual(divide("172.31.16.0/20", 2), {
        private: ["172.31.16.0/22", "172.31.20.0/22"],
        public: ["172.31.28.0/26", "172.31.28.64/26"],
    });
    assert.throws(() => divide("10.0.0.0/24", 2), /no network from \/16 to \/20/);
    assert.throws(() => divide("10.0.1.0/16", 2), /does not begin where/);
});

test("nothing is public that should not be", async () => {
    const made = await run();
    // Nothing gets a public address by itself, and no node is in a public subnet.
    for (const { name, inputs } of made.of("aws:ec2/subnet:Subnet")) {
        assert.equal(inputs.mapPublicIpOnLaunch, false, name);
    }
    const group = made.one("aws:eks/nodeGroup:NodeGroup");
    const cluster = made.one("aws:eks/cluster:Cluster");
    for (const id of [...group.inputs.subnetIds, ...cluster.inputs.vpcConfig.subnetIds]) {
        assert.match(id, /-private-/);
    }
    assert.equal(group.inputs.remoteAccess, undefined);
    // Private subnets lead out by a NAT alone.
    for (const { name, inputs } of made.of("aws:ec2/routeTable:RouteTable")) {
        const gateways = inputs.routes.filter((it: Outputs) => it.gatewayId);
        assert.equal(gateways.length, name.endsWith("-public") ? 1 : 0, name);
    }
    // No security group lets anybody in: the controller makes those of the NLB.
    assert.deepEqual(made.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs.ingress, []);
    assert.deepEqual(made.of("aws:ec2/securityGroup:SecurityGroup"), []);
    assert.deepEqual(made.of("aws:ec2/securityGroupRule:SecurityGroupRule"), []);
    // Pods do not reach the rights of their node, and its disk is encrypted.
    const template = made.one("aws:ec2/launchTemplate:LaunchTemplate").inputs;
    assert.deepEqual(template.metadataOptions, {
        httpEndpoint: "enabled",
        httpTokens: "required",
        httpPutResponseHopLimit: 1,
    });
    assert.equal(template.blockDeviceMappings[0].ebs.encrypted, "true");
    assert.deepEqual(made.of("aws:ecrpublic/repository:Repository"), []);
});

test("the cluster's API is open to the networks of the configuration and nobody else", async () => {
    const access = (made: Made) => made.one("aws:eks/cluster:Cluster").inputs.vpcConfig;
    const some = access(await run({ "landing:apiCidrs": ["198.51.100.7/32"] }));
    assert.equal(some.endpointPrivateAccess, true);
    assert.deepEqual(some.publicAccessCidrs, ["198.51.100.7/32"]);
    const none = access(await run({ "landing:apiCidrs": [] }));
    assert.equal(none.endpointPublicAccess, false);
    assert.equal(none.publicAccessCidrs, undefined);
    refused({ "landing:apiCidrs": ["0.0.0.0/0"] }, /everybody/);
    refused({ "landing:apiCidrs": ["::/0"] }, /everybody/);
});

test("sizes, types and versions come from the configuration", async () => {
    const nodes = {
        instanceTypes: ["c7g.xlarge"],
        amiType: "AL2023_ARM_64_STANDARD",
        min: 3,
        desired: 4,
        max: 9,
        diskGiB: 77,
    };
    const made = await run({
        "landing:nodes": nodes,
        "landing:kubernetesVersion": "1.34",
        "landing:controllerVersion": "3.4.0",
        "landing:name": "other",
    });
    const group = made.one("aws:eks/nodeGroup:NodeGroup").inputs;
    assert.deepEqual(group.instanceTypes, ["c7g.xlarge"]);
    assert.equal(group.amiType, "AL2023_ARM_64_STANDARD");
    assert.deepEqual(group.scalingConfig, { minSize: 3, desiredSize: 4, maxSize: 9 });
    assert.equal(group.version, "1.34");
    const template = made.one("aws:ec2/launchTemplate:LaunchTemplate").inputs;
    assert.equal(template.blockDeviceMappings[0].ebs.volumeSize, 77);
    assert.equal(made.one("aws:eks/cluster:Cluster").inputs.version, "1.34");
    assert.equal(made.one("kubernetes:helm.sh/v3:Release").inputs.version, "3.4.0");
    assert.equal(made.outputs.clusterName, "other");
    refused({ "landing:nodes": { ...nodes, desired: 10 } }, /min ≤ desired ≤ max/);
    refused({ "landing:nodes": { ...nodes, instanceTypes: [] } }, /instanceTypes/);
    refused({ "landing:zones": 1 }, /zones/);
    refused({ "landing:domain": undefined }, /domain/);
});

test("the certificate is in the region of the cluster, and so is everything else", async () => {
    for (const region of ["eu-central-1", "us-east-2"]) {
        const made = await run({ "aws:region": region });
        const provider = made.one("pulumi:providers:aws");
        assert.equal(provider.inputs.region, region);
        const ours = made.all.filter((it) => it.type.startsWith("aws:"));
        const providers = new Set(ours.map((it) => it.provider));
        assert.equal(providers.size, 1, [...providers].join(", "));
        assert.match([...providers].join(), /pulumi:providers:aws::aws::/);
        for (const { name, inputs } of ours) assert.equal(inputs.region, undefined, name);
        assert.equal(made.outputs.region, region);
        assert.equal(made.outputs.certificateArn.split(":")[3], region);
        assert.match(made.outputs.kubeconfig, new RegExp(`"${region}"`));
        assert.equal(made.one("kubernetes:helm.sh/v3:Release").inputs.values.region, region);
    }
});

test("the certificate has a key that an NLB can use", async () => {
    const made = await run();
    assert.equal(made.one("aws:acm/certificate:Certificate").inputs.keyAlgorithm, "EC_prime256v1");
    refused({ "landing:keyAlgorithm": "RSA_4096" }, /keyAlgorithm/);
});

test("without a zone the records are an output, with one they are written", async () => {
    const alone = await run();
    assert.deepEqual(alone.of("aws:route53/record:Record"), []);
    assert.deepEqual(alone.of("aws:acm/certificateValidation:CertificateValidation"), []);
    assert.equal(alone.outputs.certificateRecords[0].name, "_proof.shop.example.com.");

    const zone = {
        "landing:zoneId": "Z1",
        "landing:alternativeNames": ["*.shop.example.com", "www.example.com"],
    };
    const written = await run(zone);
    // A wildcard is proved by the record of its name.
    assert.deepEqual(
        written.of("aws:route53/record:Record").map((it) => it.inputs.name).sort(),
        ["_proof.shop.example.com.", "_proof.www.example.com."],
    );
    const validation = written.one("aws:acm/certificateValidation:CertificateValidation");
    assert.equal(validation.inputs.validationRecordFqdns.length, 2);

    const reached = await run({ ...zone, "landing:balancer": "nlb.example" });
    const address = reached.of("aws:route53/record:Record").find((it) => it.inputs.type === "A");
    const alias = { name: "nlb.example", zoneId: "ZNLB", evaluateTargetHealth: false };
    assert.deepEqual(address?.inputs.aliases, [alias]);
    refused({ "landing:balancer": "nlb.example" }, /zoneId/);
});

test("the controller gets its rights by Pod Identity, and is told what it could not ask", async () => {
    const made = await run();
    const association = made.one("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs;
    const { values, namespace } = made.one("kubernetes:helm.sh/v3:Release").inputs;
    assert.equal(association.namespace, namespace);
    assert.equal(association.serviceAccount, values.serviceAccount.name);
    assert.equal(values.clusterName, "shop");
    assert.equal(values.vpcId, "shop-id");
    assert.equal(values.enableServiceMutatorWebhook, false);
    const addons = made.of("aws:eks/addon:Addon").map((it) => it.inputs.addonName);
    assert.ok(addons.includes("eks-pod-identity-agent"));
});

test("the controller changes only what is marked as this cluster's", () => {
    const { Statement } = JSON.parse(policy("aws", "eu-central-1", ACCOUNT, "shop", "vpc-1"));
    const looks = /:(Describe|List|Get)/;
    for (const { Action, Resource, Condition } of Statement) {
        const changes = Action.filter((action: string) => !looks.test(action));
        if (changes.length === 0) continue;
        assert.ok(Condition || Resource.endsWith(":vpc/vpc-1"), changes.join(", "));
        assert.ok(!Action.some((action: string) => action.includes("*")));
        if (Resource === "*") assert.deepEqual(changes, ["iam:CreateServiceLinkedRole"]);
    }
    const inline = JSON.stringify({ Statement }).length;
    assert.ok(inline < 10240, `a role takes 10240 characters, not ${inline}`);
});

test("what a rollback needs stays, unless the stack is disposable", async () => {
    const kept = await run();
    const expires = JSON.parse(kept.one("aws:ecr/lifecyclePolicy:LifecyclePolicy").inputs.policy);
    assert.deepEqual(expires.rules.map((it: Outputs) => it.selection.tagStatus), ["untagged"]);
    assert.equal(kept.one("aws:ecr/repository:Repository").inputs.forceDelete, false);
    const gone = await run({ "landing:disposable": true });
    assert.equal(gone.one("aws:ecr/repository:Repository").inputs.forceDelete, true);
});

test("who deploys is in a group without rights of its own", async () => {
    const arn = `arn:aws:iam::${ACCOUNT}:role/pipeline`;
    const made = await run({ "landing:deployers": [arn] });
    const entry = made.one("aws:eks/accessEntry:AccessEntry").inputs;
    assert.equal(entry.principalArn, arn);
    assert.deepEqual(entry.kubernetesGroups, ["landfall-deployers"]);
    assert.deepEqual(made.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation"), []);
});

test("the outputs are what `landfall up` is told", async () => {
    const { outputs } = await run();
    assert.equal(outputs.repositoryUrl, `${ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/shop`);
    const kubeconfig = JSON.parse(outputs.kubeconfig);
    assert.equal(kubeconfig["current-context"], "shop");
    const { command, args } = kubeconfig.users[0].user.exec;
    // These words and no others, so that Landfall can answer in place of the program.
    assert.deepEqual([command, ...args], [
        "aws", "--region", "eu-central-1", "eks", "get-token", "--cluster-name", "shop", "--output", "json",
    ]);
    assert.match(outputs.securityPolicies.recommended, /^ELBSecurityPolicy-TLS13-/);
});
