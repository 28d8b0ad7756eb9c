/** Responses in place of a handler's. */

/** 400: the request itself is malformed. */
export function badRequest(): Response {
  return closing(new Response("Bad Request\n", { status: 400 }));
}

/** 408: the body of the request has stopped arriving. */
export function bodyTimedOut(): Response {
  return closing(new Response("Request Timeout\n", { status: 408 }));
}

/** 413: the body is too long. The rest of it is not read. */
export function tooLarge(): Response {
  return closing(new Response("Content Too Large\n", { status: 413 }));
}

/**
 * 499: the client has gone. Nobody reads it, but Deno's OpenTelemetry records it,
 * and unlike 5xx it is no error there. The number is nginx's.
 */
export function clientGone(): Response {
  return new Response(null, { status: 499 });
}

/** 500: the handler failed. */
export function failed(): Response {
  return new Response("Internal Server Error\n", { status: 500 });
}

/** 503: try again elsewhere, or later. */
export function refused(): Response {
  return new Response("Service Unavailable\n", {
    status: 503,
    headers: { "retry-after": "1" },
  });
}

/** 504: the handler did not answer in time. */
export function timedOut(): Response {
  return new Response("Gateway Timeout\n", { status: 504 });
}

/** Adds `Connection: close`: the client opens a new connection for its next request. */
export function closing(response: Response): Response {
  // An upgraded connection is no longer HTTP.
  if (response.status === 101) return response;
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // The headers of a fetched response are immutable.
    return closingCopy(response);
  }
}

function closingCopy(response: Response): Response {
  try {
    const copy = new Response(response.body, response);
    copy.headers.set("connection", "close");
    return copy;
  } catch {
    // It cannot be sent either, because its body has been read, say. Deno reports
    // that, as it does at any other time.
    return response;
  }
}
