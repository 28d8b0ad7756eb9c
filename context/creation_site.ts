/** The call that created a context, and the line of user code that made it. */

/** A call of this package and the line it was made at. */
export interface CreationSite {
  /** The public function that was called: `withTimeout`, `serveHttp`. */
  readonly call: string;
  /** File, line and column of the caller, as in a stack trace. */
  readonly line: string;
}

/** The folders of this package; frames in them are not the caller's. */
const ownFolders = [
  new URL("./", import.meta.url).href,
  new URL("../net/", import.meta.url).href,
];

/** Enough for the frames of this package, up to the one that called it. */
const frameLimit = 14;

/** The stack of a call; its text is made when it is first read, which is slow. */
export type CapturedStack = Pick<Error, "stack">;

/** Captures the stack of the caller: 2 us, and 50 us more for its text. */
export function captureStack(): CapturedStack {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = frameLimit;
  const captured = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return captured;
}

/** Finds the caller in a stack from {@linkcode captureStack}. */
export function creationSite(captured: CapturedStack): CreationSite {
  let call = "";
  for (const line of textOf(captured).split("\n").slice(1)) {
    const frame = parseFrame(line);
    if (frame === undefined) continue;
    if (!isOwn(frame.line)) {
      return { call: call || "a context", line: frame.line };
    }
    call = frame.name;
  }
  return { call: call || "a context", line: "an unknown line" };
}

/** Returns the text of a stack, "" if the `Error.prepareStackTrace` of a user makes none. */
function textOf(captured: CapturedStack): string {
  try {
    const stack: unknown = captured.stack;
    return typeof stack === "string" ? stack : "";
  } catch {
    return "";
  }
}

function isOwn(line: string): boolean {
  // The examples of our own docs run under names such as `sleep.ts#10-20.ts`.
  return ownFolders.some((folder) => line.startsWith(folder)) &&
    !line.includes("#");
}

/** Parses a line such as `at async serveHttp (file:///net/http.ts:1:2)`. */
function parseFrame(
  text: string,
): { name: string; line: string } | undefined {
  const match =
    /^\s*at (?:(?:async )?(?:new )?(?<name>[^()]*?) ?\()?(?<line>[^()\s]+:\d+:\d+)\)?$/
      .exec(text);
  if (match?.groups === undefined) return undefined;
  const { name = "", line } = match.groups;
  return {
    name: name.split(".").at(-1)!.replace(/ \[as .*$/, ""),
    line: line!.startsWith("/") ? `file://${line}` : line!,
  };
}
