// Run with `vitest run`.

// @ts-ignore: installed beside this file by test_clocks_node_test.ts
import { test } from "vitest";
import { cases } from "./testing_cases.mjs";

for (const [name, f] of Object.entries(cases)) test(name, f);
