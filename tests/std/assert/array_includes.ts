export { assertArrayIncludes } from "./mod.ts";
export type { ArrayLikeArg } from "./mod.ts";
