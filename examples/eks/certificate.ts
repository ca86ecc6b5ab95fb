// The certificate of the load balancer, and the names in DNS.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Settings } from "./settings";

export interface Certificate {
    /** Known once it is issued, where the zone is ours; otherwise at once. */
    arn: pulumi.Output<string>;
    /** What has to be in DNS until the certificate is issued, and for its renewal. */
    records: pulumi.Output<{ name: string; type: string; value: string }[]>;
}

export function certificate(settings: Settings, options: pulumi.CustomResourceOptions): Certificate {
    const { name, domain, zoneId } = settings;
    const names = [...new Set([domain, ...settings.alternativeNames])];
    const made = new aws.acm.Certificate(name, {
        domainName: domain,
        subjectAlternativeNames: names.slice(1),
        validationMethod: "DNS",
        keyAlgorithm: settings.keyAlgorithm,
        tags: { Name: domain },
    }, {
        ...options,
        // Another name or key is another ARN. The old one stays: the NLB has it until the next
        // `landfall up`, AWS does not delete one in use, and a rollback wants it back.
        retainOnDelete: !settings.disposable,
    });
    const records = made.domainValidationOptions.apply((all) => all.map((it) => ({
        name: it.resourceRecordName,
        type: it.resourceRecordType,
        value: it.resourceRecordValue,
    })));
    if (!zoneId) return { arn: made.arn, records };

    // A name and its wildcard are proved by one record.
    const proved = names.filter((it) => !(it.startsWith("*.") && names.includes(it.slice(2))));
    const written = proved.map((it) => {
        const option = made.domainValidationOptions.apply((all) => {
            const found = all.find((option) => option.domainName === it);
            if (!found) throw new Error(`ACM asks for no record for ${it}`);
            return found;
        });
        return new aws.route53.Record(`${name}-${it}`, {
            zoneId,
            name: option.resourceRecordName,
            type: option.resourceRecordType,
            records: [option.resourceRecordValue],
            ttl: 300,
            // Another certificate of the same name in the account is proved by the same record.
            allowOverwrite: true,
        }, options);
    });
    const issued = new aws.acm.CertificateValidation(name, {
        certificateArn: made.arn,
        validationRecordFqdns: written.map((it) => it.fqdn),
    }, options);
    if (settings.balancer) address(settings, zoneId, settings.balancer, options);
    return { arn: issued.certificateArn, records };
}

/** The host's name leads to the NLB. An alias, so that it may be the zone's own name. */
function address(
    settings: Settings,
    zoneId: string,
    balancer: string,
    options: pulumi.CustomResourceOptions,
) {
    const of = aws.lb.getHostedZoneIdOutput(
        { region: settings.region, loadBalancerType: "network" },
        { provider: options.provider },
    );
    new aws.route53.Record(`${settings.name}-address`, {
        zoneId,
        name: settings.domain,
        type: "A",
        aliases: [{ name: balancer, zoneId: of.id, evaluateTargetHealth: false }],
    }, options);
}
