// What a stack's configuration says, checked before anything is made.

import * as pulumi from "@pulumi/pulumi";

export interface Nodes {
    instanceTypes: string[];
    amiType: string;
    min: number;
    desired: number;
    max: number;
    diskGiB: number;
}

export interface Settings {
    region: string;
    name: string;
    cidr: string;
    zones: number;
    natPerZone: boolean;
    apiCidrs: string[];
    kubernetesVersion: string;
    nodes: Nodes;
    controllerVersion: string;
    domain: string;
    alternativeNames: string[];
    keyAlgorithm: string;
    zoneId?: string;
    balancer?: string;
    deployers: string[];
    disposable: boolean;
}

// ACM also takes RSA 4096, and the listener of an NLB then does not work.
const KEYS = ["EC_prime256v1", "EC_secp384r1", "RSA_2048"];

/** Reads the configuration of the stack; throws with everything that is wrong with it. */
export function settings(): Settings {
    const config = new pulumi.Config("landing");
    const read: Settings = {
        region: new pulumi.Config("aws").require("region"),
        name: config.require("name"),
        cidr: config.require("cidr"),
        zones: config.requireNumber("zones"),
        natPerZone: config.requireBoolean("natPerZone"),
        apiCidrs: config.requireObject<string[]>("apiCidrs"),
        kubernetesVersion: config.require("kubernetesVersion"),
        nodes: config.requireObject<Nodes>("nodes"),
        controllerVersion: config.require("controllerVersion"),
        domain: config.require("domain"),
        alternativeNames: config.getObject<string[]>("alternativeNames") ?? [],
        keyAlgorithm: config.require("keyAlgorithm"),
        zoneId: config.get("zoneId"),
        balancer: config.get("balancer"),
        deployers: config.getObject<string[]>("deployers") ?? [],
        disposable: config.getBoolean("disposable") ?? false,
    };
    const wrong = mistakes(read);
    if (wrong.length > 0) {
        throw new Error(`the configuration of the stack:\n  ${wrong.join("\n  ")}`);
    }
    return read;
}

function mistakes(it: Settings): string[] {
    const { min, desired, max, instanceTypes } = it.nodes;
    const open = it.apiCidrs.filter((cidr) => cidr.endsWith("/0"));
    const rules: [boolean, string][] = [
        [![2, 3].includes(it.zones), `zones: ${it.zones}; EKS needs 2 at least, and 3 are enough`],
        [!(min >= 1 && min <= desired && desired <= max), "nodes: 1 ≤ min ≤ desired ≤ max"],
        [!(instanceTypes?.length > 0), "nodes.instanceTypes: name one at least"],
        [open.length > 0, `apiCidrs: ${open.join(", ")} is everybody; name your own networks, or []`],
        [!KEYS.includes(it.keyAlgorithm), `keyAlgorithm: ${it.keyAlgorithm} is none of ${KEYS.join(", ")}`],
        [!!it.balancer && !it.zoneId, "balancer: needs zoneId, the zone in which its record is written"],
    ];
    return rules.filter(([isWrong]) => isWrong).map(([, words]) => words);
}
