export { unimplemented } from "./mod.ts";
