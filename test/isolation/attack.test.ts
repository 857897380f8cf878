/** The short form of `npm run attack`: whatever a hostile tenant does, his neighbour gets his own rows, and all of them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Battlefield, prepareBattlefield } from "./attacks/battlefield.ts";
import { CLUSTER_ATTACKS } from "./attacks/cluster.ts";
import { EVENT_LOOP_ATTACKS } from "./attacks/event-loop.ts";

const SHORT = [...CLUSTER_ATTACKS, ...EVENT_LOOP_ATTACKS].filter(({ short }) => short);

let field: Battlefield;
beforeAll(async () => {
  field = await prepareBattlefield();
});
afterAll(() => field?.[Symbol.asyncDispose]());

test.each(SHORT.map((attack) => [attack.name, attack] as const))(
  "beside %s a quiet project is served",
  async (_name, attack) => {
    const { during, lost, reached } = await field.suffer(attack, 0, 3_000);
    expect(reached).toBe(true);
    expect(during.faults).toEqual({});
    expect(during.count).toBeGreaterThan(0);
    expect(lost).toBe(0);
  },
);
