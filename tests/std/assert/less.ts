export { assertLess } from "./mod.ts";
