import { expect, test } from "vitest";
import { RateLimited } from "../errors.ts";
import { AttemptLimiter } from "./attempt-limiter.ts";

function limiter() {
  let now = 1_000_000;
  return {
    limiter: new AttemptLimiter({ attempts: 2, windowMs: 60_000 }, () => now),
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test("the attempt after the last allowed one is refused and says when to come back", () => {
  const { limiter: limit, pass } = limiter();
  limit.take("a");
  pass(20_000);
  limit.take("a");
  expect(() => limit.take("a")).toThrow(RateLimited);
  try {
    limit.take("a");
  } catch (error) {
    expect((error as RateLimited).details).toEqual({ retryAfterSeconds: 40 });
  }
});

test("attempts leave the window one by one", () => {
  const { limiter: limit, pass } = limiter();
  limit.take("a");
  pass(30_000);
  limit.take("a");
  pass(30_001);
  limit.take("a");
  expect(() => limit.take("a")).toThrow(RateLimited);
});

test("a success is given back, and keys do not share their attempts", () => {
  const { limiter: limit } = limiter();
  for (let i = 0; i < 5; i++) {
    limit.take("a");
    limit.giveBack("a");
  }
  limit.take("a");
  limit.take("a");
  limit.take("b");
});
