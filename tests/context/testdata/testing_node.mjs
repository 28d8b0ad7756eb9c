// Run with `node --test`.

import { test } from "node:test";
import { cases } from "./testing_cases.mjs";

for (const [name, f] of Object.entries(cases)) test(name, f);
