/** What a user is told whose server cannot listen. */

/**
 * The error of a listen that has failed, in words that say what to do. Others
 * than those of a port are passed on: Deno's own say which permission lacks.
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
      `${caller}: ${at.path ?? `port ${at.port}`} is in use`,
      { cause: error },
    );
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new Deno.errors.AddrNotAvailable(
      `${caller}: ${at.hostname} is not an address of this machine`,
      { cause: error },
    );
  }
  return error;
}
