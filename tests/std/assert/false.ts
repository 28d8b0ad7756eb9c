export { assertFalse } from "./mod.ts";
export type { Falsy } from "./mod.ts";
