/** Deno's legacy mode of `request.signal`. */

/**
 * True if Deno aborts `request.signal` when a response has been sent, also after
 * success. That is the default up to now; `--unstable-no-legacy-abort` switches it
 * off (denoland/deno#27005). In this mode an abort means that the client has gone
 * only as long as the request has no response.
 *
 * No API tells the mode. It is taken to be on until a response has been sent
 * without an abort.
 *
 * Delete this file when every supported Deno has the mode off: each abort then
 * means that the client has gone (denoland/deno#35733 is the change).
 */
let isOn = true;

/** Reports whether an abort after the response may mean success. */
export function hasLegacyAbort(): boolean {
  return isOn;
}

/** Called with the signal of a request when its response has been sent. */
export function learnAbortMode(signal: AbortSignal): void {
  if (!signal.aborted) isOn = false;
}
