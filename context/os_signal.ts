/** Names of the signals of operating systems. */

/**
 * Name of a signal that the operating system can send. The same names as
 * `Deno.Signal`, spelled out so that the types need nothing of Deno.
 *
 * @example
 * ```ts
 * import { background, notifyContext, type OsSignal } from "@curfew/context";
 *
 * const reload: OsSignal = "SIGHUP";
 * using ctx = notifyContext(background(), reload);
 * console.log(ctx.err); // undefined
 * ```
 */
export type OsSignal =
  | "SIGABRT"
  | "SIGALRM"
  | "SIGBREAK"
  | "SIGBUS"
  | "SIGCHLD"
  | "SIGCONT"
  | "SIGEMT"
  | "SIGFPE"
  | "SIGHUP"
  | "SIGILL"
  | "SIGINFO"
  | "SIGINT"
  | "SIGIO"
  | "SIGPOLL"
  | "SIGUNUSED"
  | "SIGKILL"
  | "SIGPIPE"
  | "SIGPROF"
  | "SIGPWR"
  | "SIGQUIT"
  | "SIGSEGV"
  | "SIGSTKFLT"
  | "SIGSTOP"
  | "SIGSYS"
  | "SIGTERM"
  | "SIGTRAP"
  | "SIGTSTP"
  | "SIGTTIN"
  | "SIGTTOU"
  | "SIGURG"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGVTALRM"
  | "SIGWINCH"
  | "SIGXCPU"
  | "SIGXFSZ";
