import { beforeEach, describe, expect, test } from "vitest";
import { type BudgetMember, ConnectionBudget } from "./connection-budget.ts";

let clock = 0;
let budget: ConnectionBudget;

/** A pool that opens at once; a connection asked to yield is given back when the test says so. */
class Member implements BudgetMember {
  size = 0;
  idleSince: number | undefined;
  yielding = 0;
  wants = true;

  request(): boolean {
    const isGiven = budget.request(this);
    if (isGiven) this.size++;
    return isGiven;
  }

  onGranted(): void {
    if (this.wants) this.size++;
    else budget.release(this);
  }

  closeLongestIdle(): void {
    this.idleSince = undefined;
    this.giveBack();
  }

  yieldOne(): boolean {
    if (this.size <= this.yielding) return false;
    this.yielding++;
    return true;
  }

  giveBack(): void {
    this.size--;
    this.yielding = Math.max(0, this.yielding - 1);
    budget.release(this);
  }
}

beforeEach(() => {
  clock = 10_000;
  budget = new ConnectionBudget(4, () => clock);
});

describe("ConnectionBudget", () => {
  test("gives no more than there are", () => {
    const member = new Member();
    for (let n = 0; n < 6; n++) member.request();
    expect(member.size).toBe(4);
    expect(budget.size).toBe(4);
  });

  test("closes the longest idle connection of another project for one that has none", () => {
    const [recent, old, needy] = [new Member(), new Member(), new Member()];
    for (const member of [recent, recent, old, old]) member.request();
    recent.idleSince = 9_990;
    old.idleSince = 9_000;
    expect(needy.request()).toBe(true);
    expect(old.size).toBe(1);
    expect(recent.size).toBe(2);
    expect(budget.size).toBe(4);
  });

  test("leaves a lately used connection to its project when the other only wants more", () => {
    const [owner, other] = [new Member(), new Member()];
    for (const member of [owner, owner, other, other]) member.request();
    owner.idleSince = clock - 10;
    expect(other.request()).toBe(false);
    expect(owner.size).toBe(2);
  });

  test("makes the richest project yield, and serves those without any connection first", () => {
    const [rich, modest, needy] = [new Member(), new Member(), new Member()];
    for (const member of [rich, rich, rich, modest]) member.request();
    expect(modest.request()).toBe(false);
    expect(needy.request()).toBe(false);
    expect(rich.yielding).toBeGreaterThan(0);
    rich.giveBack();
    expect(needy.size).toBe(1);
    expect(modest.size).toBe(1);
  });

  test("a place nobody needs any more goes to the next in line", () => {
    const [rich, gone, needy] = [new Member(), new Member(), new Member()];
    for (let n = 0; n < 4; n++) rich.request();
    gone.request();
    needy.request();
    gone.wants = false;
    rich.giveBack();
    expect(gone.size).toBe(0);
    expect(needy.size).toBe(1);
    expect(budget.size).toBe(4);
  });

  test("listeners get at most half of it", () => {
    expect([1, 2, 3].map(() => budget.takeForListener())).toEqual([true, true, false]);
    budget.releaseListener();
    expect(budget.takeForListener()).toBe(true);
  });
});
