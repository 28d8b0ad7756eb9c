// @ts-types="./poll.d.ts"
export * from "npm:deno-std@1.4.0/async/poll.js";
