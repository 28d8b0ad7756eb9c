/** Errors of servers that cannot listen. */

import { hostPort } from "./host_port.ts";

/**
 * Turns a listen error into one of the same class that names the address and says
 * what is wrong with it.
 */
export function listenError(
  caller: string,
  error: unknown,
  at: {
    port?: number | undefined;
    hostname?: string | undefined;
    path?: string | undefined;
  },
): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    return new Deno.errors.AddrInUse(
      `${caller}: ${at.path ?? `port ${at.port}`} is already in use`,
      { cause: error },
    );
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new Deno.errors.AddrNotAvailable(
      `${caller}: ${at.hostname} is not an address of this machine`,
      { cause: error },
    );
  }
  // Deno's own message names the permission.
  const isClear = error instanceof Deno.errors.NotCapable;
  if (isClear || !(error instanceof Error)) return error;
  const { path, hostname, port = 0 } = at;
  const where = path ??
    (hostname === undefined ? `port ${port}` : hostPort(hostname, port));
  const SameError = error.constructor as ErrorConstructor;
  return new SameError(
    `${caller}: cannot listen on ${where}: ${error.message}`,
    { cause: error },
  );
}
