export { assertNotInstanceOf } from "./mod.ts";
