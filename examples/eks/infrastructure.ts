// From a stack's configuration to what `landfall up` needs.

import * as aws from "@pulumi/aws";
import { certificate } from "./certificate";
import { cluster } from "./cluster";
import { controller } from "./controller";
import { network } from "./network";
import { registry } from "./registry";
import { Settings } from "./settings";

export function infrastructure(settings: Settings) {
    // One provider, hence one region: an NLB takes certificates of its own region only.
    const provider = new aws.Provider("aws", {
        region: settings.region as aws.Region,
        defaultTags: { tags: { "managed-by": "pulumi", landing: settings.name } },
    });
    const options = { provider };
    const partition = aws.getPartitionOutput({}, options).partition;
    const net = network(settings, options);
    const eks = cluster(settings, net, partition, options);
    controller(settings, net, eks, partition, options);
    const issued = certificate(settings, options);
    const repository = registry(settings, options);
    return {
        kubeconfig: eks.kubeconfig,
        clusterName: eks.cluster.name,
        region: settings.region,
        vpcId: net.vpc.id,
        certificateArn: issued.arn,
        certificateRecords: issued.records,
        repositoryUrl: repository.repositoryUrl,
        securityPolicies: {
            // What the console proposes, and Landfall where a listener names none.
            recommended: "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
            // For clients that know TLS 1.2 with older suites.
            compatible: "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
            // TLS 1.3 alone.
            strict: "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
        },
    };
}
