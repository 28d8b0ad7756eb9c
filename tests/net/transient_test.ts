import { assertEquals } from "@std/assert";
import { isLostConnection, isTransient } from "../../net/transient.ts";

const withCode = (code: string) => Object.assign(new Error(code), { code });

const errors: [name: string, error: unknown, transient: boolean][] = [
  ["ConnectionAborted", new Deno.errors.ConnectionAborted(), true],
  ["ConnectionReset", new Deno.errors.ConnectionReset(), true],
  ["ConnectionRefused", new Deno.errors.ConnectionRefused(), true],
  ["TimedOut", new Deno.errors.TimedOut(), true],
  ["WouldBlock", new Deno.errors.WouldBlock(), true],
  ["EMFILE", withCode("EMFILE"), true],
  ["ENFILE", withCode("ENFILE"), true],
  ["ENOBUFS", withCode("ENOBUFS"), true],
  ["ENOMEM", withCode("ENOMEM"), true],
  ["Interrupted", new Deno.errors.Interrupted(), false],
  ["BadResource", new Deno.errors.BadResource(), false],
  ["EACCES", withCode("EACCES"), false],
  ["an error without a code", new Error("no"), false],
  ["undefined", undefined, false],
  ["null", null, false],
];
for (const [name, error, transient] of errors) {
  Deno.test(`isTransient() is ${transient} for ${name}`, () => {
    assertEquals(isTransient(error), transient);
  });
}

const accepts: [name: string, error: unknown, lost: boolean][] = [
  ["NotConnected", new Deno.errors.NotConnected(), true],
  ["ConnectionAborted", new Deno.errors.ConnectionAborted(), true],
  ["ConnectionReset", new Deno.errors.ConnectionReset(), true],
  ["EPROTO", withCode("EPROTO"), true],
  ["ENETDOWN", withCode("ENETDOWN"), true],
  ["ENETUNREACH", withCode("ENETUNREACH"), true],
  ["EHOSTUNREACH", withCode("EHOSTUNREACH"), true],
  ["EMFILE", withCode("EMFILE"), false],
  ["BadResource", new Deno.errors.BadResource(), false],
  ["an error without a code", new Error("no"), false],
  ["undefined", undefined, false],
];
for (const [name, error, lost] of accepts) {
  Deno.test(`isLostConnection() is ${lost} for ${name}`, () => {
    assertEquals(isLostConnection(error), lost);
  });
}
