// Ends once nothing holds it; node_test.ts asks for one of the two.

import { afterFunc, background, withTimeout } from "@curfew/context/context";

if (process.argv[2] === "listened to") {
  afterFunc(withTimeout(background(), 20), () => console.log("over"));
} else {
  withTimeout(background(), 3_600_000);
  const ended = withTimeout(background(), 3_600_000);
  void ended.signal;
  ended.cancel();
}
