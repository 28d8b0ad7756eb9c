/** Stands in for the program that `main` runs. */

import { background, type Context, withValue } from "@curfew/context";
import { type Owner, ownerKey, type Work } from "../../context/owner.ts";

/** Records what is started under {@linkcode RecordingOwner.ctx}. */
export class RecordingOwner implements Owner {
  readonly ctx: Context = withValue(background(), ownerKey, this);
  /** Work that has not finished. */
  readonly works: Set<Work> = new Set();
  /** Failures of that work. */
  readonly failures: unknown[] = [];

  own(work: Work): void {
    this.works.add(work);
    work.finished.then(
      () => this.works.delete(work),
      (error) => {
        this.works.delete(work);
        this.fail(error);
      },
    );
  }

  async fail(error: unknown, isHandled?: () => boolean): Promise<void> {
    if (isHandled !== undefined) {
      await new Promise((resolve) => setTimeout(resolve));
      if (isHandled()) return;
    }
    this.failures.push(error);
  }

  /** Descriptions of the work that has not finished. */
  get running(): (string | undefined)[] {
    return [...this.works].map((work) => work.describe());
  }
}
