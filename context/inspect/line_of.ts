/** Lines of code as text. */

import type { CreationSite } from "../creation_site.ts";

/** Line of a site; undefined if it is not known, or not the user's. */
export function lineOf(site: CreationSite | undefined): string | undefined {
  if (site === undefined) return undefined;
  const { line } = site;
  // A server's own contexts are created in calls from the runtime.
  const isUsers = line !== "an unknown line" && !line.startsWith("ext:");
  return isUsers ? line : undefined;
}

/** Call at a site of the user's. */
export function callOf(site: CreationSite | undefined): string | undefined {
  return lineOf(site) === undefined ? undefined : site!.call;
}
