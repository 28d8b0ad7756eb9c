/** What becomes of an error that a handler has thrown. */

/**
 * Hands errors to `onError`, whatever that does with them: what it throws itself,
 * or rejects with, goes to stderr and costs nobody anything.
 */
export function reporter<About>(
  caller: string,
  onError: (error: unknown, about?: About) => unknown = (error) =>
    console.error(`${caller}:`, error),
): (error: unknown, about?: About) => void {
  const failed = (second: unknown) =>
    console.error(`${caller}: onError has thrown`, second);
  return (error, about) => {
    try {
      Promise.resolve(onError(error, about)).catch(failed);
    } catch (second) {
      failed(second);
    }
  };
}
