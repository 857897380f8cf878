import { expect, test, vi } from "vitest";
import { SchemaWatch, UNWATCHED_RELOAD_MS } from "./schema-watch.ts";

const logger = { info() {}, warn() {} };

function watchWith(listen: ConstructorParameters<typeof SchemaWatch>[0]["listen"]) {
  const clock = { ms: 1000 };
  const onChange = vi.fn();
  const onRefused = vi.fn();
  const watch = new SchemaWatch({ listen, onChange, onRefused, now: () => clock.ms, logger });
  return { watch, clock, onChange, onRefused };
}

test.each([
  ["", true],
  ["reload schema", true],
  ["reload config", true],
  ["something of the tenant's own", false],
])("notification %j is a change: %s", async (payload, isChange) => {
  let notify: (payload: string) => void = () => {};
  const { watch, onChange } = watchWith(async (handlers) => {
    notify = handlers.onNotification;
    return { close: async () => {} };
  });
  await watch.settled();
  notify(payload);
  expect(onChange).toHaveBeenCalledTimes(isChange ? 1 : 0);
});

test("while it listens, requests change nothing however late they come", async () => {
  const listen = vi.fn(async () => ({ close: async () => {} }));
  const { watch, clock, onChange } = watchWith(listen);
  await watch.settled();
  clock.ms += 10 * UNWATCHED_RELOAD_MS;
  watch.touch();
  expect(listen).toHaveBeenCalledTimes(1);
  expect(onChange).not.toHaveBeenCalled();
});

test("without a connection a request looks anew now and then, and tries again to listen", async () => {
  const listen = vi.fn(async () => ({ close: async () => {} })).mockRejectedValueOnce(new Error("none is left"));
  const { watch, clock, onChange, onRefused } = watchWith(listen);
  await watch.settled();
  expect(onRefused).toHaveBeenCalledOnce();
  watch.touch();
  expect(onChange).not.toHaveBeenCalled();
  clock.ms += UNWATCHED_RELOAD_MS;
  watch.touch();
  watch.touch();
  expect(onChange).toHaveBeenCalledOnce();
  await watch.settled();
  expect(watch.isListening).toBe(true);
});

test("one whose project was released listens and looks anew with the next request", async () => {
  let release: () => void = () => {};
  const { watch, onChange } = watchWith(async (handlers) => {
    release = () => handlers.onReleased?.();
    return { close: async () => {} };
  });
  await watch.settled();
  release();
  expect(watch.isListening).toBe(false);
  watch.touch();
  expect(onChange).toHaveBeenCalledOnce();
  await watch.settled();
  expect(watch.isListening).toBe(true);
});

test("one that gave its connection away comes back with the next request", async () => {
  const close = vi.fn(async () => {});
  const { watch, onChange } = watchWith(async () => ({ close }));
  await watch.settled();
  await watch.pause();
  expect(close).toHaveBeenCalledOnce();
  expect(watch.isListening).toBe(false);
  watch.touch();
  await watch.settled();
  expect(watch.isListening).toBe(true);
  expect(onChange).toHaveBeenCalledOnce();
});

test("closed while the connection is being made, it leaves none behind", async () => {
  const connected = Promise.withResolvers<{ close(): Promise<void> }>();
  const close = vi.fn(async () => {});
  const { watch } = watchWith(() => connected.promise);
  const closed = watch.close();
  connected.resolve({ close });
  await closed;
  expect(close).toHaveBeenCalledOnce();
  expect(watch.isListening).toBe(false);
});
