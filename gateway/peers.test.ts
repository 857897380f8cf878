import { expect, test } from "vitest";
import { mergeMetrics } from "./peers.ts";

test("metrics of several processes stand together, each family under one head", () => {
  const of = (worker: string) =>
    `# HELP a Counts a.\n# TYPE a counter\na{worker="${worker}"} 1\n\n# HELP b Counts b.\n# TYPE b gauge\nb{worker="${worker}"} 2\n`;
  expect(mergeMetrics([of("0"), of("1")])).toBe(
    '# HELP a Counts a.\n# TYPE a counter\na{worker="0"} 1\na{worker="1"} 1\n\n' +
      '# HELP b Counts b.\n# TYPE b gauge\nb{worker="0"} 2\nb{worker="1"} 2\n',
  );
});
