/** A timer that lets the process end. */

/** The real ones, as they were before any test replaced them. */
const { setTimeout, clearTimeout } = globalThis;

/** Calls `f` after `ms` unless the result is called or the process has ended. */
export function unrefTimeout(f: () => void, ms: number): () => void {
  const timer: unknown = setTimeout(f, ms);
  const { Deno: runtime } = globalThis as {
    Deno?: { unrefTimer(timer: number): void };
  };
  if (typeof timer === "number") runtime?.unrefTimer(timer);
  else (timer as { unref?(): void }).unref?.();
  return () => clearTimeout(timer as number);
}
