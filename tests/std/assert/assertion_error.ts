export { AssertionError } from "./mod.ts";
