export { assertAlmostEquals } from "./mod.ts";
