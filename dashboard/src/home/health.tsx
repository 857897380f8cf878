/** How the project's database and services answer, and how much it uses: read again every few seconds while shown. */
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { useQuery } from "../graphql/hooks.ts";
import { Section } from "../shell/page.tsx";
import { Button } from "../ui/button.tsx";
import { formatBytes, formatNumber } from "../ui/format.ts";
import { Ago } from "../ui/parts.tsx";
import { Banner, ErrorState, Loading, StateDot } from "../ui/state.tsx";
import { ProjectHealthDocument, type ProjectHealthQuery } from "./generated/operations.ts";
import styles from "./home.module.css";

const POLL_MS = 15_000;

type Service = ProjectHealthQuery["project"]["health"]["services"][number];

const SERVICE_TONES = {
  HEALTHY: { tone: "good", word: "healthy" },
  UNHEALTHY: { tone: "bad", word: "not answering" },
  UNKNOWN: { tone: "unknown", word: "unknown" },
} as const;

export function HealthSection({
  projectRef,
  projectName,
}: {
  readonly projectRef: string;
  readonly projectName: string;
}) {
  const { data, error, refetch } = useQuery(ProjectHealthDocument, { ref: projectRef });
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) refetch();
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [refetch]);
  if (!data) {
    return (
      <Section title="Health">
        {error ? (
          <ErrorState error={error} onRetry={refetch} what="project" />
        ) : (
          <Loading what={`the database of ${projectName}`} lines={2} />
        )}
      </Section>
    );
  }
  const { health, traffic, usage } = data.project;
  return (
    <>
      <Section title="Health">
        {health.database && !health.database.reachable ? (
          <Banner tone="danger" actions={<Button onPress={refetch}>Try again</Button>}>
            The database does not answer: {health.database.problem ?? "no reason was given"}. Settings and keys stay
            usable.
          </Banner>
        ) : null}
        <ul className={styles.services}>
          {health.database?.reachable ? (
            <li className={styles.service}>
              <StateDot tone="good">database</StateDot>
              <small>{formatMs(health.database.latencyMs)}</small>
            </li>
          ) : null}
          {health.services.map((service) => (
            <ServiceItem key={service.name} service={service} />
          ))}
        </ul>
      </Section>
      <Section
        title="Traffic"
        lead={
          <>
            Of the last 24 hours.{" "}
            <Link to="/projects/$ref/monitoring" params={{ ref: projectRef }}>
              Monitoring
            </Link>{" "}
            shows it over time.
          </>
        }
      >
        <dl className={styles.figures}>
          <Figure label="Requests" value={formatNumber(traffic.requests)} />
          <Figure label="Failed with 5xx" value={formatNumber(traffic.failed)} />
          <Figure label="Bytes sent" value={formatBytes(traffic.bytesOut)} />
        </dl>
      </Section>
      {usage ? (
        <Section
          title="Usage"
          lead={
            <>
              Measured <Ago at={usage.measuredAt} />.
            </>
          }
        >
          <dl className={styles.figures}>
            <Figure label="Database size" value={formatBytes(usage.databaseBytes)} />
            <Figure
              label="Connections"
              value={formatNumber(usage.connections)}
              of={`of ${formatNumber(usage.maxConnections)}`}
            />
            {usage.tables === null || usage.tables === undefined ? null : (
              <Figure label="Tables" value={formatNumber(usage.tables)} />
            )}
          </dl>
        </Section>
      ) : null}
    </>
  );
}

function ServiceItem({ service: { name, status, latencyMs } }: { readonly service: Service }) {
  const { tone, word } = SERVICE_TONES[status];
  return (
    <li className={styles.service}>
      <StateDot tone={tone}>{name}</StateDot>
      <small>{status === "HEALTHY" ? formatMs(latencyMs) : word}</small>
    </li>
  );
}

function Figure({ label, value, of }: { readonly label: string; readonly value: string; readonly of?: string }) {
  return (
    <div className={styles.figure}>
      <dt>{label}</dt>
      <dd>
        {value} {of ? <small>{of}</small> : null}
      </dd>
    </div>
  );
}

function formatMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "";
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}
