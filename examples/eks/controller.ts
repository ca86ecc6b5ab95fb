// The AWS Load Balancer Controller: what it may do, by Pod Identity, and its Helm release.

import * as aws from "@pulumi/aws";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Cluster, trust } from "./cluster";
import { Network } from "./network";
import { Settings } from "./settings";

const ACCOUNT = "aws-load-balancer-controller";
const NAMESPACE = "kube-system";

/**
 * What it may do for NLBs, and no more: it looks at everything, makes only what it marks as this
 * cluster's, and changes only what is so marked. Application load balancers want upstream's policy.
 */
export function policy(
    partition: string,
    region: string,
    account: string,
    cluster: string,
    vpc: string,
): string {
    const ec2 = (what: string) => `arn:${partition}:ec2:${region}:${account}:${what}`;
    const elb = (what: string) => `arn:${partition}:elasticloadbalancing:${region}:${account}:${what}`;
    const marked = { StringEquals: { "aws:ResourceTag/elbv2.k8s.aws/cluster": cluster } };
    const marking = { StringEquals: { "aws:RequestTag/elbv2.k8s.aws/cluster": cluster } };
    const ofBalancers = [elb("loadbalancer/net/*/*"), elb("targetgroup/*/*")];
    const listeners = elb("listener/net/*/*/*");
    const names = (service: string, ...actions: string[]) => actions.map((it) => `${service}:${it}`);
    const statements = [
        {
            Action: [
                ...names("ec2", "DescribeAccountAttributes", "DescribeAddresses", "DescribeAvailabilityZones",
                    "DescribeInstances", "DescribeInternetGateways", "DescribeNetworkInterfaces",
                    "DescribeRouteTables", "DescribeSecurityGroups", "DescribeSubnets", "DescribeTags",
                    "DescribeVpcPeeringConnections", "DescribeVpcs", "GetSecurityGroupsForVpc"),
                ...names("elasticloadbalancing", "DescribeCapacityReservation", "DescribeListenerAttributes",
                    "DescribeListenerCertificates", "DescribeListeners", "DescribeLoadBalancerAttributes",
                    "DescribeLoadBalancers", "DescribeRules", "DescribeSSLPolicies", "DescribeTags",
                    "DescribeTargetGroupAttributes", "DescribeTargetGroups", "DescribeTargetHealth"),
                ...names("acm", "DescribeCertificate", "ListCertificates"),
            ],
            Resource: "*",
        },
        {
            Action: ["iam:CreateServiceLinkedRole"],
            Resource: "*",
            Condition: { StringEquals: { "iam:AWSServiceName": "elasticloadbalancing.amazonaws.com" } },
        },
        // Security groups: its own, and rules in those of the nodes.
        { Action: ["ec2:CreateSecurityGroup"], Resource: ec2(`vpc/${vpc}`) },
        { Action: ["ec2:CreateSecurityGroup"], Resource: ec2("security-group/*"), Condition: marking },
        {
            Action: ["ec2:CreateTags"],
            Resource: ec2("security-group/*"),
            Condition: {
                StringEquals: { ...marking.StringEquals, "ec2:CreateAction": "CreateSecurityGroup" },
            },
        },
        {
            Action: ["ec2:CreateTags", "ec2:DeleteTags"],
            Resource: ec2("security-group/*"),
            Condition: marked,
        },
        {
            Action: ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"],
            Resource: ec2("security-group/*"),
            Condition: { ArnEquals: { "ec2:Vpc": ec2(`vpc/${vpc}`) } },
        },
        { Action: ["ec2:DeleteSecurityGroup"], Resource: ec2("security-group/*"), Condition: marked },
        // Load balancers and target groups; a listener is made by right of its load balancer.
        {
            Action: names("elasticloadbalancing", "CreateLoadBalancer", "CreateTargetGroup"),
            Resource: ofBalancers,
            Condition: marking,
        },
        {
            Action: names("elasticloadbalancing", "AddTags"),
            Resource: [...ofBalancers, listeners],
            Condition: {
                StringEquals: {
                    ...marking.StringEquals,
                    "elasticloadbalancing:CreateAction": [
                        "CreateLoadBalancer", "CreateTargetGroup", "CreateListener",
                    ],
                },
            },
        },
        {
            Action: names("elasticloadbalancing", "AddTags", "CreateListener", "DeleteLoadBalancer",
                "DeleteTargetGroup", "DeregisterTargets", "ModifyCapacityReservation",
                "ModifyLoadBalancerAttributes", "ModifyTargetGroup", "ModifyTargetGroupAttributes",
                "RegisterTargets", "RemoveTags", "SetIpAddressType", "SetSecurityGroups", "SetSubnets"),
            Resource: ofBalancers,
            Condition: marked,
        },
        {
            Action: names("elasticloadbalancing", "AddListenerCertificates", "AddTags", "DeleteListener",
                "ModifyListener", "ModifyListenerAttributes", "RemoveListenerCertificates", "RemoveTags"),
            Resource: listeners,
            Condition: marked,
        },
    ];
    return JSON.stringify({
        Version: "2012-10-17",
        Statement: statements.map((it) => ({ Effect: "Allow", ...it })),
    });
}

export function controller(
    settings: Settings,
    network: Network,
    cluster: Cluster,
    partition: pulumi.Output<string>,
    options: pulumi.CustomResourceOptions,
): kubernetes.helm.v3.Release {
    const { name, region } = settings;
    const account = aws.getCallerIdentityOutput({}, { provider: options.provider }).accountId;
    const role = new aws.iam.Role(`${name}-controller`, {
        assumeRolePolicy: trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"),
    }, options);
    const allowed = new aws.iam.RolePolicy(`${name}-controller`, {
        role: role.id,
        policy: pulumi
            .all([partition, account, network.vpc.id])
            .apply(([partition, account, vpc]) => policy(partition, region, account, name, vpc)),
    }, options);
    const identity = new aws.eks.PodIdentityAssociation(`${name}-controller`, {
        clusterName: cluster.cluster.name,
        namespace: NAMESPACE,
        serviceAccount: ACCOUNT,
        roleArn: role.arn,
    }, options);
    const provider = new kubernetes.Provider(name, { kubeconfig: cluster.kubeconfig });
    return new kubernetes.helm.v3.Release(ACCOUNT, {
        name: ACCOUNT,
        namespace: NAMESPACE,
        chart: "aws-load-balancer-controller",
        version: settings.controllerVersion,
        repositoryOpts: { repo: "https://aws.github.io/eks-charts" },
        timeout: 600,
        values: {
            clusterName: cluster.cluster.name,
            region,
            // Asked of the node otherwise, which pods do not reach.
            vpcId: network.vpc.id,
            replicaCount: 2,
            podDisruptionBudget: { maxUnavailable: 1 },
            serviceAccount: { create: true, name: ACCOUNT },
            // It would make this controller the default, and refuse every new Service in the cluster
            // while the controller is away. Landfall names the class itself.
            enableServiceMutatorWebhook: false,
            enableShield: false,
            enableWaf: false,
            enableWafv2: false,
        },
    }, { provider, dependsOn: [...cluster.ready, allowed, identity] });
}
