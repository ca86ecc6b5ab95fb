// The program that Pulumi runs.

import { infrastructure } from "./infrastructure";
import { settings } from "./settings";

export = infrastructure(settings());
