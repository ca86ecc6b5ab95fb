// The VPC: load balancers and NAT gateways in public subnets, everything that runs in private ones.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Settings } from "./settings";

export interface Network {
    vpc: aws.ec2.Vpc;
    publicSubnets: aws.ec2.Subnet[];
    privateSubnets: aws.ec2.Subnet[];
    /** What has to be there before a node can reach anything. */
    ways: pulumi.Resource[];
}

/** Three quarters of a network for private subnets, sixteenths of the fourth for public ones. */
export function divide(cidr: string, zones: number): { private: string[]; public: string[] } {
    const parts = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr)?.slice(1).map(Number);
    const [prefix] = parts?.slice(4) ?? [];
    if (!parts || prefix === undefined || prefix < 16 || prefix > 20) {
        throw new Error(`cidr: ${cidr} is no network from /16 to /20`);
    }
    const start = parts.slice(0, 4).reduce((sum, byte) => sum * 256 + byte, 0);
    const size = 2 ** (32 - prefix);
    if (start % size !== 0) {
        throw new Error(`cidr: ${cidr} does not begin where a /${prefix} begins`);
    }
    const at = (offset: number, length: number) => {
        const address = start + offset;
        const bytes = [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256);
        return `${bytes.join(".")}/${length}`;
    };
    const all = [...Array(zones).keys()];
    return {
        private: all.map((zone) => at((zone * size) / 4, prefix + 2)),
        public: all.map((zone) => at((3 * size) / 4 + (zone * size) / 64, prefix + 6)),
    };
}

export function network(settings: Settings, options: pulumi.CustomResourceOptions): Network {
    const { name, zones } = settings;
    const named = (what: string) => ({ Name: `${name}-${what}` });
    const vpc = new aws.ec2.Vpc(name, {
        cidrBlock: settings.cidr,
        enableDnsHostnames: true,
        enableDnsSupport: true,
        tags: { Name: name },
    }, options);
    // What is made without naming a group gets this one: it lets nothing in and nothing out.
    new aws.ec2.DefaultSecurityGroup(name, { vpcId: vpc.id, ingress: [], egress: [] }, options);
    const gateway = new aws.ec2.InternetGateway(name, { vpcId: vpc.id, tags: { Name: name } }, options);
    const available = aws.getAvailabilityZonesOutput({
        state: "available",
        filters: [{ name: "opt-in-status", values: ["opt-in-not-required"] }],
    }, { provider: options.provider });
    const blocks = divide(settings.cidr, zones);

    // The controller finds its subnets by these tags, and refuses those of another cluster.
    const subnet = (kind: "public" | "private", zone: number) =>
        new aws.ec2.Subnet(`${name}-${kind}-${zone}`, {
            vpcId: vpc.id,
            availabilityZone: available.names.apply((names) => {
                const found = names[zone];
                if (!found) throw new Error(`zones: the region has only ${names.length}`);
                return found;
            }),
            cidrBlock: blocks[kind][zone],
            mapPublicIpOnLaunch: false,
            tags: {
                ...named(`${kind}-${zone}`),
                [`kubernetes.io/cluster/${name}`]: "shared",
                [kind === "public" ? "kubernetes.io/role/elb" : "kubernetes.io/role/internal-elb"]: "1",
            },
        }, options);
    const all = [...Array(zones).keys()];
    const publicSubnets = all.map((zone) => subnet("public", zone));
    const privateSubnets = all.map((zone) => subnet("private", zone));

    const outside = new aws.ec2.RouteTable(`${name}-public`, {
        vpcId: vpc.id,
        routes: [{ cidrBlock: "0.0.0.0/0", gatewayId: gateway.id }],
        tags: named("public"),
    }, options);
    publicSubnets.forEach((it, zone) => new aws.ec2.RouteTableAssociation(`${name}-public-${zone}`, {
        subnetId: it.id,
        routeTableId: outside.id,
    }, options));
    const nats = publicSubnets.slice(0, settings.natPerZone ? zones : 1).map((it, zone) => {
        const address = new aws.ec2.Eip(`${name}-nat-${zone}`, {
            domain: "vpc",
            tags: named(`nat-${zone}`),
        }, options);
        return new aws.ec2.NatGateway(`${name}-${zone}`, {
            subnetId: it.id,
            allocationId: address.id,
            tags: named(`${zone}`),
        }, { ...options, dependsOn: [gateway] });
    });
    const inside = privateSubnets.map((it, zone) => {
        const table = new aws.ec2.RouteTable(`${name}-private-${zone}`, {
            vpcId: vpc.id,
            routes: [{ cidrBlock: "0.0.0.0/0", natGatewayId: (nats[zone] ?? nats[0]!).id }],
            tags: named(`private-${zone}`),
        }, options);
        const joined = new aws.ec2.RouteTableAssociation(`${name}-private-${zone}`, {
            subnetId: it.id,
            routeTableId: table.id,
        }, options);
        return { table, joined };
    });
    // Layers of images come from S3: this way they pay for no NAT.
    new aws.ec2.VpcEndpoint(`${name}-s3`, {
        vpcId: vpc.id,
        serviceName: `com.amazonaws.${settings.region}.s3`,
        vpcEndpointType: "Gateway",
        routeTableIds: inside.map(({ table }) => table.id),
        tags: named("s3"),
    }, options);
    return { vpc, publicSubnets, privateSubnets, ways: [...nats, ...inside.map(({ joined }) => joined)] };
}
