/** Options for {@linkcode promptSecret}. */
export type PromptSecretOptions = {
  /** What is shown for each character. */
  mask?: string;
  /** Whether the line is cleared afterwards. */
  clear?: boolean;
};

/** Asks for a secret on the terminal; `null` if there is none. */
export function promptSecret(
  message?: string,
  options?: PromptSecretOptions,
): string | null;
