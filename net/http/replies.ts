/** What a server answers in place of a handler. */

/** 413: the body is longer than it may be; the rest of it is not read. */
export function tooLarge(): Response {
  return closing(new Response("Content Too Large\n", { status: 413 }));
}

/** 500: the handler has failed. */
export function failed(): Response {
  return new Response("Internal Server Error\n", { status: 500 });
}

/** 503: not now. */
export function refused(): Response {
  return new Response("Service Unavailable\n", {
    status: 503,
    headers: { "retry-after": "1" },
  });
}

/** 504: the handler has not answered in time. */
export function timedOut(): Response {
  return new Response("Gateway Timeout\n", { status: 504 });
}

/** Asks the client to open a new connection for its next request. */
export function closing(response: Response): Response {
  // An upgraded connection is no longer HTTP.
  if (response.status === 101) return response;
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // The headers of a fetched response cannot be changed.
    return closingCopy(response);
  }
}

function closingCopy(response: Response): Response {
  try {
    const copy = new Response(response.body, response);
    copy.headers.set("connection", "close");
    return copy;
  } catch {
    // One that cannot be copied, because its body has been read, say, cannot be
    // sent either: Deno reports that, as it does at any other time.
    return response;
  }
}
