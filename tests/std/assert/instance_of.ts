export { assertInstanceOf } from "./mod.ts";
export type { AnyConstructor, GetConstructorType } from "./mod.ts";
