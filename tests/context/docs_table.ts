/** Tables in docs/ that tests measure. */

import { assertEquals } from "@std/assert";

/**
 * A table in a Markdown file. It follows the comment `<!-- NAME, measured -->` and
 * ends at the first empty line. With UPDATE_DOCS=1 in the environment,
 * {@linkcode DocsTable.finish} writes what was measured instead of comparing it.
 */
export class DocsTable {
  readonly #file: URL;
  readonly #marker: string;
  readonly #rows = new Map<string, string[]>();

  constructor(file: string, name: string) {
    this.#file = new URL(`../../docs/${file}`, import.meta.url);
    this.#marker = `<!-- ${name}, measured -->\n\n`;
  }

  /** Asserts that the table has this row, known by its first cell. */
  async check(...row: string[]): Promise<void> {
    this.#rows.set(row[0]!, row);
    if (isUpdate) return;
    const { rows } = await this.#read();
    assertEquals(rows.find(([first]) => first === row[0]), row);
  }

  /** Asserts that the table has these rows, known by their first cells, and no more. */
  async finish(firstCells: string[]): Promise<void> {
    const { text, start, end, rows } = await this.#read();
    if (!isUpdate) {
      return assertEquals(rows.map(([first]) => first), firstCells);
    }
    const old = new Map(rows.map((row) => [row[0], row]));
    const head = text.slice(start, end).split("\n").slice(0, 2);
    const body = firstCells.map((first) => {
      const row = this.#rows.get(first) ?? old.get(first) ?? [first];
      return `| ${row.join(" | ")} |`;
    });
    const table = [...head, ...body].join("\n");
    await Deno.writeTextFile(
      this.#file,
      text.slice(0, start) + table + text.slice(end),
    );
  }

  async #read(): Promise<
    { text: string; start: number; end: number; rows: string[][] }
  > {
    const text = await Deno.readTextFile(this.#file);
    const at = text.indexOf(this.#marker);
    if (at < 0) throw new Error(`${this.#file} has no ${this.#marker.trim()}`);
    const start = at + this.#marker.length;
    const end = text.indexOf("\n\n", start);
    const rows = text.slice(start, end).split("\n").slice(2).map((line) =>
      line.split("|").slice(1, -1).map((cell) => cell.trim())
    );
    return { text, start, end, rows };
  }
}

const isUpdate = Deno.env.get("UPDATE_DOCS") === "1";
