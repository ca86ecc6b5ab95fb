// The cluster, its nodes, and who may enter.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Network } from "./network";
import { Settings } from "./settings";

export interface Cluster {
    cluster: aws.eks.Cluster;
    kubeconfig: pulumi.Output<string>;
    /** What has to be there before anything else can run in it. */
    ready: pulumi.Resource[];
}

/** The group that `deployers` are in: `kubectl create rolebinding` gives it the role that Landfall made. */
export const DEPLOYERS = "landfall-deployers";

/** Who may take a role: a service of AWS. */
export function trust(service: string, ...actions: string[]): string {
    const statement = { Effect: "Allow", Principal: { Service: service }, Action: actions };
    return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

function role(
    name: string,
    trusted: string,
    policies: string[],
    partition: pulumi.Output<string>,
    options: pulumi.CustomResourceOptions,
) {
    const made = new aws.iam.Role(name, { assumeRolePolicy: trusted }, options);
    const attached = policies.map((policy) => new aws.iam.RolePolicyAttachment(`${name}-${policy}`, {
        role: made.name,
        policyArn: pulumi.interpolate`arn:${partition}:iam::aws:policy/${policy}`,
    }, options));
    return { role: made, attached };
}

export function cluster(
    settings: Settings,
    network: Network,
    partition: pulumi.Output<string>,
    options: pulumi.CustomResourceOptions,
): Cluster {
    const { name, nodes } = settings;
    const control = role(
        `${name}-cluster`,
        trust("eks.amazonaws.com", "sts:AssumeRole"),
        ["AmazonEKSClusterPolicy"],
        partition,
        options,
    );
    const made = new aws.eks.Cluster(name, {
        name,
        version: settings.kubernetesVersion,
        roleArn: control.role.arn,
        enabledClusterLogTypes: ["api", "audit", "authenticator"],
        // Who makes the cluster administers it; everybody else needs an entry.
        accessConfig: { authenticationMode: "API", bootstrapClusterCreatorAdminPermissions: true },
        vpcConfig: {
            subnetIds: network.privateSubnets.map((it) => it.id),
            endpointPrivateAccess: true,
            endpointPublicAccess: settings.apiCidrs.length > 0,
            ...(settings.apiCidrs.length > 0 && { publicAccessCidrs: settings.apiCidrs }),
        },
    }, { ...options, dependsOn: control.attached });

    const addon = (addonName: string, dependsOn: pulumi.Resource[] = []) =>
        new aws.eks.Addon(`${name}-${addonName}`, {
            clusterName: made.name,
            addonName,
            resolveConflictsOnUpdate: "PRESERVE",
        }, { ...options, dependsOn });
    // Nodes are not ready without the first, and the controller gets no rights without the last.
    const first = ["vpc-cni", "kube-proxy", "eks-pod-identity-agent"].map((it) => addon(it));

    const worker = role(
        `${name}-node`,
        trust("ec2.amazonaws.com", "sts:AssumeRole"),
        ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"],
        partition,
        options,
    );
    const template = new aws.ec2.LaunchTemplate(name, {
        // One hop: pods do not reach the node's own rights.
        metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
        blockDeviceMappings: [{
            deviceName: "/dev/xvda",
            ebs: {
                volumeSize: nodes.diskGiB,
                volumeType: "gp3",
                encrypted: "true",
                deleteOnTermination: "true",
            },
        }],
        tagSpecifications: [{ resourceType: "instance", tags: { Name: `${name}-node` } }],
    }, options);
    const group = new aws.eks.NodeGroup(name, {
        clusterName: made.name,
        version: settings.kubernetesVersion,
        nodeRoleArn: worker.role.arn,
        subnetIds: network.privateSubnets.map((it) => it.id),
        instanceTypes: nodes.instanceTypes,
        amiType: nodes.amiType,
        scalingConfig: { minSize: nodes.min, desiredSize: nodes.desired, maxSize: nodes.max },
        updateConfig: { maxUnavailable: 1 },
        launchTemplate: { id: template.id, version: template.latestVersion.apply(String) },
    }, { ...options, dependsOn: [...worker.attached, ...network.ways, ...first] });
    const dns = addon("coredns", [group]);

    settings.deployers.forEach((principalArn, index) => new aws.eks.AccessEntry(`${name}-deployer-${index}`, {
        clusterName: made.name,
        principalArn,
        kubernetesGroups: [DEPLOYERS],
    }, options));
    return { cluster: made, kubeconfig: kubeconfig(made, settings.region), ready: [...first, group, dns] };
}

/**
 * As `aws eks update-kubeconfig` writes it. Landfall answers `get-token` itself; Pulumi and kubectl
 * run `aws`.
 */
function kubeconfig(cluster: aws.eks.Cluster, region: string): pulumi.Output<string> {
    const { name, arn, endpoint, certificateAuthority } = cluster;
    const args = ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"];
    return pulumi.jsonStringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [{
            name: arn,
            cluster: { server: endpoint, "certificate-authority-data": certificateAuthority.data },
        }],
        users: [{
            name: arn,
            user: {
                exec: {
                    apiVersion: "client.authentication.k8s.io/v1beta1",
                    command: "aws",
                    args,
                    interactiveMode: "Never",
                },
            },
        }],
        contexts: [{ name, context: { cluster: arn, user: arn } }],
        "current-context": name,
    }, undefined, 2);
}
