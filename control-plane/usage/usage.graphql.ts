/** Usage over time: reports of gateways come in, series and summaries go out. */
import { builder } from "../builder.ts";
import { isProjectRef, SERVICES } from "../client/config-snapshot.ts";
import { DURATION_BUCKETS, MAX_ENTRIES_OF_REPORT, STATUS_CLASSES, type TrafficEntry } from "../client/traffic.ts";
import { ClusterType } from "../clusters/cluster.graphql.ts";
import type { GraphqlContext } from "../context.ts";
import { InvalidInput } from "../errors.ts";
import { requireInstanceOwner, requireProject, requireService } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { isUuid } from "../uuid.ts";
import { MAX_INTERVALS, METRIC_NAMES, type MetricName, type MetricSeries, readMetrics, timeSpan } from "./metrics.ts";
import { addTraffic, beginReport, summarizeTraffic, type TrafficSummary } from "./traffic-table.ts";

const DESCRIPTIONS: Readonly<Record<MetricName, string>> = {
  requests: "Requests answered, of all classes of status.",
  client_errors: "Requests answered with a status of 400 to 499.",
  server_errors: "Requests answered with a status of 500 and above.",
  latency_p50: "Milliseconds within which half of the requests were answered.",
  latency_p95: "Milliseconds within which 95 of 100 requests were answered.",
  bytes_in: "Bytes of request bodies and WebSocket frames from clients.",
  bytes_out: "Bytes of response bodies and WebSocket frames to clients.",
  sockets: "The most WebSockets that one gateway had open at once.",
  messages: "WebSocket frames in both directions.",
  database_bytes: "Size of the database on disk.",
  storage_bytes: "Size of all objects of storage.",
  connections: "The most database sessions that were seen.",
  active_users: "Users who signed in or refreshed a session in the month so far.",
};

const MetricNameEnum = builder.enumType("MetricName", {
  values: Object.fromEntries(
    METRIC_NAMES.map((name) => [name.toUpperCase(), { value: name, description: DESCRIPTIONS[name] }]),
  ) as Record<Uppercase<MetricName>, { value: MetricName; description: string }>,
});

const MetricSeriesType = builder.objectRef<MetricSeries>("MetricSeries").implement({
  fields: (t) => ({
    name: t.expose("name", { type: MetricNameEnum }),
    service: t.exposeString("service", {
      nullable: true,
      description: "`rest`, `auth`, `storage`, `realtime`; null for what is of the project as a whole.",
    }),
    values: t.field({
      type: ["Float"],
      nullable: { list: false, items: true },
      complexity: 1,
      description: "One for each interval, the first begins at `startAt`; null where nothing is known.",
      resolve: ({ values }) => [...values],
    }),
  }),
});

interface Metrics {
  readonly startAt: Date;
  readonly stepSeconds: number;
  readonly series: readonly MetricSeries[];
}

const MetricsType = builder.objectRef<Metrics>("Metrics").implement({
  fields: (t) => ({
    startAt: t.expose("startAt", { type: "DateTime", description: "`from`, moved back to a whole interval." }),
    stepSeconds: t.exposeInt("stepSeconds"),
    series: t.field({
      type: [MetricSeriesType],
      description: "Of each metric asked for: one for each service with traffic, or one of the whole.",
      resolve: ({ series }) => [...series],
    }),
  }),
});

const TrafficSummaryType = builder.objectRef<TrafficSummary>("TrafficSummary").implement({
  description: "Of the last 24 hours, in whole hours.",
  fields: (t) => ({
    requests: t.exposeFloat("requests"),
    failed: t.exposeFloat("failed", { description: "Answered with a status of 500 and above." }),
    bytesOut: t.exposeFloat("bytesOut"),
  }),
});

const TIMES =
  "Minutes are kept a day, hours 90 days, days 400 days; which of them is read depends on what divides `stepSeconds`.";

builder.objectFields(ProjectType, (t) => ({
  metrics: t.field({
    type: MetricsType,
    description: `Usage over time. ${TIMES}`,
    args: {
      names: t.arg({ type: [MetricNameEnum] }),
      from: t.arg({ type: "DateTime" }),
      to: t.arg({ type: "DateTime" }),
      stepSeconds: t.arg.int({ description: `A multiple of 60; at most ${MAX_INTERVALS} intervals.` }),
    },
    complexity: 50,
    resolve: async ({ ref }, { names, from, to, stepSeconds }, context) => {
      await requireProject(context, ref, "project.health");
      return metricsOf(context, { kind: "project", id: ref }, names, from, to, stepSeconds);
    },
  }),
  traffic: t.field({
    type: TrafficSummaryType,
    description: "What a list of projects shows.",
    complexity: 2,
    resolve: ({ ref }, _args, context) => summaryOf(context, ref),
  }),
}));

builder.objectField(ClusterType, "metrics", (t) =>
  t.field({
    type: MetricsType,
    description: `Usage of all its projects over time. ${TIMES} For the owner of the installation.`,
    args: {
      names: t.arg({ type: [MetricNameEnum] }),
      from: t.arg({ type: "DateTime" }),
      to: t.arg({ type: "DateTime" }),
      stepSeconds: t.arg.int({ description: `A multiple of 3600; at most ${MAX_INTERVALS} intervals.` }),
    },
    complexity: 500,
    resolve: async ({ id }, { names, from, to, stepSeconds }, context) => {
      requireInstanceOwner(context);
      if (stepSeconds % 3_600 !== 0) throw new InvalidInput("stepSeconds", "is a multiple of 3600 for a cluster");
      return metricsOf(context, { kind: "cluster", id }, names, from, to, stepSeconds);
    },
  }),
);

async function metricsOf(
  { database }: GraphqlContext,
  scope: { readonly kind: "project" | "cluster"; readonly id: string },
  names: readonly MetricName[],
  from: Date,
  to: Date,
  stepSeconds: number,
): Promise<Metrics> {
  const span = timeSpan(from, to, stepSeconds);
  const series = await readMetrics(database, scope, names, span);
  return { startAt: new Date(span.from * 1_000), stepSeconds, series };
}

/** The refs that one request asks for in the same turn, read together. */
const batches = new WeakMap<GraphqlContext, { refs: string[]; read: Promise<Map<string, TrafficSummary>> }>();

async function summaryOf(context: GraphqlContext, ref: string): Promise<TrafficSummary> {
  let batch = batches.get(context);
  if (!batch) {
    const refs: string[] = [];
    const read = Promise.resolve().then(async () => {
      batches.delete(context);
      const found = await summarizeTraffic(context.database, refs);
      return new Map(found.map((summary) => [summary.ref, summary]));
    });
    batch = { refs, read };
    batches.set(context, batch);
  }
  batch.refs.push(ref);
  return (await batch.read).get(ref) ?? { ref, requests: 0, failed: 0, bytesOut: 0 };
}

const TrafficEntryInput = builder.inputType("TrafficEntryInput", {
  description: "One project's traffic at one service in one minute, as one gateway saw it.",
  fields: (t) => ({
    ref: t.id(),
    service: t.string(),
    minute: t.int({ description: "Minutes since the epoch." }),
    statuses: t.intList({ description: "Requests by class of status, 1xx to 5xx." }),
    durations: t.intList({ description: "Requests by how long they took." }),
    bytesIn: t.float(),
    bytesOut: t.float(),
    sockets: t.int(),
    messages: t.int(),
  }),
});

builder.mutationField("reportTraffic", (t) =>
  t.boolean({
    description:
      "Adds what a gateway has counted. A report that comes again is not counted again. For service tokens of gateways.",
    args: {
      process: t.arg.id({ description: "A UUID that the process has made for itself." }),
      sequence: t.arg.int({ description: "Grows with each report of the process." }),
      entries: t.arg({ type: [TrafficEntryInput], description: `At most ${MAX_ENTRIES_OF_REPORT}.` }),
    },
    complexity: 1,
    resolve: async (_root, { process, sequence, entries }, context) => {
      requireService(context);
      if (!isUuid(process)) throw new InvalidInput("process", "is a UUID");
      if (entries.length > MAX_ENTRIES_OF_REPORT)
        throw new InvalidInput("entries", `at most ${MAX_ENTRIES_OF_REPORT} at a time`);
      const nowMinute = Math.floor(context.now() / 60_000);
      const checked = entries.flatMap((entry) => checkedEntry(entry, nowMinute) ?? []);
      return context.configDatabase.transaction(async (tx) => {
        if (!(await beginReport(tx, process, sequence))) return false;
        if (checked.length > 0) await addTraffic(tx, checked);
        return true;
      });
    },
  }),
);

type ReportedEntry = typeof TrafficEntryInput.$inferInput;

/** A day is how long minutes are kept; a clock may be ahead a little. */
const OLDEST_MINUTES = 24 * 60;
const NEWEST_MINUTES = 10;

/** Null for what cannot be counted: refused, the report would come again and keep the later ones waiting for ever. */
function checkedEntry(entry: ReportedEntry, nowMinute: number): TrafficEntry | null {
  const { ref } = entry;
  const service = SERVICES.find((name) => name === entry.service);
  const counts = [...entry.statuses, ...entry.durations, entry.bytesIn, entry.bytesOut, entry.sockets, entry.messages];
  const isValid =
    entry.statuses.length === STATUS_CLASSES.length &&
    entry.durations.length === DURATION_BUCKETS &&
    counts.every((count) => Number.isSafeInteger(count) && count >= 0) &&
    entry.minute > nowMinute - OLDEST_MINUTES &&
    entry.minute < nowMinute + NEWEST_MINUTES;
  return service && isValid && isProjectRef(ref) ? { ...entry, ref, service } : null;
}
