/** Control flow: the ways by which execution leaves a list of statements. */

import { headOf, type Loop, type Node } from "./nodes.ts";

type Statement = Deno.lint.Statement;

/** The two questions that the caller answers about the code. */
export interface Questions {
  /** Returns true if the matter is settled once `node` has been evaluated. */
  settles(node: Node): boolean;
  /**
   * Returns the outcome of a condition that means that the matter is settled;
   * undefined if the condition tells nothing.
   */
  settledIf(condition: Node): boolean | undefined;
}

/**
 * Returns true if the matter is settled however execution leaves `statements`:
 * at their end or by `return`, `throw`, `break` or `continue`. An exception that a
 * callee throws counts only if it is caught in `statements`.
 */
export function settledOnEveryPath(
  statements: readonly Statement[],
  questions: Questions,
): boolean {
  const { end, jumps } = new Walk(questions).sequence(statements);
  return !end && jumps.size === 0;
}

/** The ways out of a statement that are open while the matter is not settled. */
interface Ways {
  /** Execution may go on after it. */
  readonly end: boolean;
  /** Execution may leave by these: "return", "throw", "break", "break label" … */
  readonly jumps: ReadonlySet<string>;
}

const none: Ways = { end: false, jumps: new Set() };
const through: Ways = { end: true, jumps: none.jumps };

class Walk {
  readonly #questions: Questions;

  constructor(questions: Questions) {
    this.#questions = questions;
  }

  sequence(statements: readonly Statement[]): Ways {
    const jumps = new Set<string>();
    for (const statement of statements) {
      const ways = this.#statement(statement);
      for (const jump of ways.jumps) jumps.add(jump);
      if (!ways.end) return { end: false, jumps };
    }
    return { end: true, jumps };
  }

  #statement(statement: Statement | null, label?: string): Ways {
    // The linter has no node for an empty statement.
    if (statement === null) return through;
    switch (statement.type) {
      case "BlockStatement":
        return this.sequence(statement.body);
      case "IfStatement":
        return this.#if(statement);
      case "SwitchStatement":
        return this.#switch(statement);
      case "TryStatement":
        return this.#try(statement);
      case "WhileStatement":
      case "DoWhileStatement":
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        return this.#loop(statement, label);
      case "LabeledStatement": {
        const { body, label: { name } } = statement;
        return landing(this.#statement(body, name), `break ${name}`);
      }
      case "ReturnStatement":
        return this.#jump(statement, "return");
      case "ThrowStatement":
        return this.#jump(statement, "throw");
      case "BreakStatement":
        return this.#jump(statement, jumpName("break", statement.label));
      case "ContinueStatement":
        return this.#jump(statement, jumpName("continue", statement.label));
      default:
        return this.#questions.settles(statement) ? none : through;
    }
  }

  #jump(statement: Statement, name: string): Ways {
    if (this.#questions.settles(statement)) return none;
    return { end: false, jumps: new Set([name]) };
  }

  #if({ test, consequent, alternate }: Deno.lint.IfStatement): Ways {
    if (this.#questions.settles(test)) return none;
    const settled = this.#questions.settledIf(test);
    const yes = settled === true ? none : this.#statement(consequent);
    const no = settled === false
      ? none
      : alternate === null
      ? through
      : this.#statement(alternate);
    return either(yes, no);
  }

  #switch({ discriminant, cases }: Deno.lint.SwitchStatement): Ways {
    if (this.#questions.settles(discriminant)) return none;
    let ways = cases.some(({ test }) => test === null) ? none : through;
    cases.forEach((_, index) => {
      const rest = cases.slice(index).flatMap(({ consequent }) => consequent);
      ways = either(ways, this.sequence(rest));
    });
    return landing(ways, "break");
  }

  #try({ block, handler, finalizer }: Deno.lint.TryStatement): Ways {
    let ways = this.sequence(block.body);
    if (handler !== null) {
      const jumps = new Set(ways.jumps);
      jumps.delete("throw");
      ways = { end: ways.end, jumps };
      const [first] = block.body;
      const settledBefore = first !== undefined &&
        this.#questions.settles(first);
      if (!settledBefore) ways = either(ways, this.sequence(handler.body.body));
    }
    if (finalizer === null) return ways;
    const last = this.sequence(finalizer.body);
    return last.end ? { end: ways.end, jumps: either(ways, last).jumps } : last;
  }

  #loop(loop: Loop, label: string | undefined): Ways {
    const { settles, settledIf } = this.#questions;
    const head = headOf(loop);
    const init = loop.type === "ForStatement" ? loop.init : null;
    const testsLast = loop.type === "DoWhileStatement";
    if (init !== null && settles(init)) return none;
    const settlesInHead = head !== null && settles(head);
    if (settlesInHead && !testsLast) return none;
    const body = this.#statement(loop.body);
    // A loop that counts is taken to run at least once.
    const runs = testsLast || loop.type === "ForStatement";
    const round = landing(body, "continue", `continue ${label}`);
    const tested = !runs || round.end;
    const settled = settlesInHead ||
      head !== null && settledIf(head) === false;
    const end = tested && !settled && !isEndless(loop);
    return landing({ end, jumps: round.jumps }, "break");
  }
}

/** Returns true for `while (true)` and `for (;;)`, which only a jump can leave. */
export function isEndless(loop: Loop): boolean {
  const head = headOf(loop);
  return head === null || head.type === "Literal" && Boolean(head.value);
}

function jumpName(name: string, label: Deno.lint.Identifier | null): string {
  return label === null ? name : `${name} ${label.name}`;
}

function either(a: Ways, b: Ways): Ways {
  return { end: a.end || b.end, jumps: new Set([...a.jumps, ...b.jumps]) };
}

/** Returns the ways out of a statement at whose end some of its jumps lead. */
function landing({ end, jumps }: Ways, ...names: string[]): Ways {
  const left = new Set(jumps);
  const landed = names.filter((name) => left.delete(name)).length > 0;
  return { end: end || landed, jumps: left };
}
