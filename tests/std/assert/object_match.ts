export { assertObjectMatch } from "./mod.ts";
