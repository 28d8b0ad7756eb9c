/** Delivery of errors to `onError`. */

/**
 * Returns a function that passes errors to `onError`. If `onError` itself throws or
 * rejects, that is logged, and the caller goes on.
 *
 * @param caller Prefix of messages.
 * @param onError The caller's option; `console.error` by default.
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
