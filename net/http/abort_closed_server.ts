/** Aborting a server that Deno has already closed. */

/**
 * Makes it safe to abort `signal` after Deno has closed the server it belongs to,
 * as Deno does if a handler upgrades a request and then does not return the upgrade.
 * Its own listener then throws a BadResource that nobody can catch, and the process
 * ends. Returns `signal`.
 */
export function forgiveClosedServer(signal: AbortSignal): AbortSignal {
  const listen = signal.addEventListener.bind(signal);
  signal.addEventListener = (
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ) => {
    const forgiving = (event: Event) => {
      try {
        if (typeof listener === "function") listener.call(signal, event);
        else listener.handleEvent(event);
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    };
    listen(type, forgiving, options);
  };
  return signal;
}
