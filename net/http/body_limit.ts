/** A limit to the bodies of requests. */

/** What reading a body fails with that is longer than it may be. */
export class BodyTooLarge extends RangeError {
  /** @param limit In bytes. */
  constructor(limit: number) {
    super(`the body is longer than ${limit} bytes`);
    this.name = "BodyTooLarge";
  }
}

/**
 * The request with a body of at most `limit` bytes; reading more of it fails.
 *
 * @throws {BodyTooLarge} If it says that it is longer.
 */
export function limitBody(request: Request, limit: number): Request {
  const { method, headers } = request;
  if (method === "GET" || method === "HEAD") return request;
  const length = headers.get("content-length");
  if (length !== null) {
    // More than that does not come in: it ends the body.
    if (Number(length) <= limit) return request;
    throw new BodyTooLarge(limit);
  }
  if (request.body === null) return request;
  let received = 0;
  const body = request.body.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        received += chunk.length;
        if (received > limit) throw new BodyTooLarge(limit);
        controller.enqueue(chunk);
      },
    }),
  );
  return new Request(request, { body });
}
