// Where Landfall pushes the images that it makes of artifacts.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Settings } from "./settings";

export function registry(settings: Settings, options: pulumi.CustomResourceOptions): aws.ecr.Repository {
    const repository = new aws.ecr.Repository(settings.name, {
        name: settings.name,
        imageScanningConfiguration: { scanOnPush: true },
        // Releases name images by digest, and the tag `landfall-…` is made of it: it may be pushed again.
        imageTagMutability: "MUTABLE",
        forceDelete: settings.disposable,
    }, options);
    // Only what has no tag: an older release that lost its image could not be rolled back to.
    new aws.ecr.LifecyclePolicy(settings.name, {
        repository: repository.name,
        policy: JSON.stringify({
            rules: [{
                rulePriority: 1,
                description: "what an interrupted push left",
                selection: {
                    tagStatus: "untagged",
                    countType: "sinceImagePushed",
                    countUnit: "days",
                    countNumber: 14,
                },
                action: { type: "expire" },
            }],
        }),
    }, options);
    return repository;
}
