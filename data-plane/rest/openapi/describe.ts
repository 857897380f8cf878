import type { RequestContext } from "../execute.ts";
import type { Draft } from "../respond.ts";
import type { Timings } from "../timing.ts";
export async function describe(_context: RequestContext, _timings: Timings | null): Promise<Draft> {
  return { status: 200, headers: [], body: "{}" };
}
