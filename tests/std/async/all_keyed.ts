// @ts-types="./all_keyed.d.ts"
export * from "npm:deno-std@1.4.0/async/all_keyed.js";
