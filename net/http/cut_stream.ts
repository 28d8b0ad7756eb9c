/** Cutting a response whose body is a stream. */

/**
 * Ends a stream that Deno is reading, as if its client had left: cancels its
 * source, and errors the stream so that the connection is closed without the end
 * of the body. A client then knows that the response is incomplete.
 *
 * Nothing else ends such a stream after `shutdown()` of `Deno.serve`: aborting the
 * server no longer cuts anything, and `cancel()` rejects while Deno holds the lock.
 * Wrapping every stream in one that can be errored would cost each chunk a copy,
 * and finding out which bodies are streams would cost all other responses 8 % of
 * their CPU time. So this looks for two slots of the Streams standard in the
 * properties in which Deno keeps them: [[controller]] of the stream and
 * [[cancelAlgorithm]] of the controller. If they are not there it does nothing.
 *
 * A stream that is backed by a file or a socket is read by Deno itself, without
 * its controller, and goes on. The same holds while the client reads nothing.
 *
 * @param stream Body of a response that is being sent.
 * @param reason Reason for the source, and for Deno's `onError`.
 */
export function cutStream(stream: ReadableStream, reason: unknown): void {
  const controller = slot(stream, "[[controller]]");
  const isController = controller instanceof ReadableStreamDefaultController ||
    controller instanceof ReadableByteStreamController;
  if (!isController) return;
  const cancel = slot(controller, "[[cancelAlgorithm]]");
  if (typeof cancel !== "function") return;
  // First the source: it is forgotten once the stream is errored.
  Promise.resolve(cancel.call(controller, reason, controller)).catch(() => {});
  controller.error(reason);
}

function slot(holder: object, name: string): unknown {
  for (const key of Object.getOwnPropertySymbols(holder)) {
    if (key.description === name) return Reflect.get(holder, key);
  }
  return undefined;
}
