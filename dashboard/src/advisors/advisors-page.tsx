/** What is often wrong in a project's database: findings by kind, each with its reason and the SQL that mends it. */
import { RefreshCw } from "lucide-react";
import { useState } from "react";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page, Section } from "../shell/page.tsx";
import { NeedsActive, NeedsRole, useProject } from "../shell/project-layout.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { plural } from "../ui/format.ts";
import { Ago, CodeView, Name } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading, Stale } from "../ui/state.tsx";
import styles from "./advisors.module.css";
import { AdvisoriesDocument, type AdvisoriesQuery, IgnoreAdvisoryDocument } from "./generated/operations.ts";

type Advisory = AdvisoriesQuery["project"]["advisories"][number];

const LEVELS = {
  ERROR: { tone: "danger", word: "Mend at once" },
  WARN: { tone: "warning", word: "Look at it" },
  INFO: { tone: "info", word: "Good to know" },
} as const;

export function AdvisorsPage() {
  return (
    <NeedsRole least="DEVELOPER" what="what the advisors find">
      <NeedsActive>
        <Advisors />
      </NeedsActive>
    </NeedsRole>
  );
}

function Advisors() {
  const { ref, name } = useProject();
  const { data, error, refetch, isFetching } = useQuery(AdvisoriesDocument, { ref });
  const [ignoring, setIgnoring] = useState<Advisory | null>(null);
  const advisories = data?.project.advisories;
  const open = advisories?.filter(({ ignored }) => !ignored) ?? [];
  const ignored = advisories?.filter(({ ignored }) => ignored) ?? [];
  return (
    <Page
      title="Advisors"
      documentTitle={`Advisors of ${name}`}
      lead="What is often wrong, read from the database’s catalogs as they are now. Nothing is changed."
      actions={
        <Button onPress={refetch} isPending={isFetching && Boolean(advisories)}>
          <RefreshCw aria-hidden /> Look again
        </Button>
      }
    >
      {error && !advisories ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!advisories && !error ? <Loading what="the database’s catalogs" /> : null}
      {advisories && open.length === 0 ? (
        <EmptyState title="Nothing was found">
          {ignored.length > 0
            ? `${plural(ignored.length, "finding")} to live with, below.`
            : "Come back after the next migration."}
        </EmptyState>
      ) : null}
      <Stale isStale={isFetching}>
        {[...Map.groupBy(open, (advisory) => advisory.name).values()].map((group) => (
          <Finding key={group[0]?.name} advisories={group} onIgnore={setIgnoring} />
        ))}
        {ignored.length > 0 ? <Ignored advisories={ignored} onHeeded={refetch} /> : null}
      </Stale>
      {ignoring ? (
        <IgnoreDialog
          advisory={ignoring}
          onClose={() => setIgnoring(null)}
          onDone={() => {
            setIgnoring(null);
            refetch();
          }}
        />
      ) : null}
    </Page>
  );
}

function Finding({
  advisories,
  onIgnore,
}: {
  readonly advisories: readonly Advisory[];
  readonly onIgnore: (advisory: Advisory) => void;
}) {
  const { viewerRole } = useProject();
  const [first] = advisories;
  if (!first) return null;
  const { tone, word } = LEVELS[first.level];
  return (
    <Section
      title={first.title}
      lead={
        <>
          <Badge tone={tone}>{word}</Badge> {first.why} <code>{first.name}</code>
        </>
      }
    >
      <ul className={styles.objects}>
        {advisories.map((advisory) => (
          <li key={advisory.key}>
            <span className={styles.object}>
              <Name>{advisory.object}</Name>
            </span>
            {roleAllows(viewerRole, "ADMIN") ? (
              <Button
                variant="ghost"
                size="small"
                aria-label={`Ignore… ${advisory.object}`}
                onPress={() => onIgnore(advisory)}
              >
                Ignore…
              </Button>
            ) : null}
            {advisory.fix ? <CodeView label={`SQL for ${advisory.object}`} code={advisory.fix} /> : null}
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Ignored({
  advisories,
  onHeeded,
}: {
  readonly advisories: readonly Advisory[];
  readonly onHeeded: () => void;
}) {
  const { ref, viewerRole } = useProject();
  const heed = useMutation(IgnoreAdvisoryDocument);
  return (
    <Section title="To live with" lead="Findings that somebody has decided to leave as they are.">
      <ul className={styles.objects}>
        {advisories.map(({ key, title, object, ignored }) => (
          <li key={key}>
            <span className={styles.object}>
              <Name>{object}</Name>
              <small>
                {title}. “<Name>{ignored?.reason ?? ""}</Name>” <Name>{ignored?.actor ?? ""}</Name>,{" "}
                <Ago at={ignored?.createdAt ?? ""} />
              </small>
            </span>
            {roleAllows(viewerRole, "ADMIN") ? (
              <Button
                variant="ghost"
                size="small"
                aria-label={`Count again ${object}`}
                onPress={async () => {
                  const { error } = await heed.run({ ref, key, reason: null });
                  if (!error) onHeeded();
                }}
              >
                Count again
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
      <InlineError error={heed.error} />
    </Section>
  );
}

function IgnoreDialog({
  advisory,
  onClose,
  onDone,
}: {
  readonly advisory: Advisory;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const { ref } = useProject();
  const [reason, setReason] = useState("");
  const ignore = useMutation(IgnoreAdvisoryDocument);
  const submit = async () => {
    const { error } = await ignore.run({ ref, key: advisory.key, reason });
    if (!error) onDone();
  };
  return (
    <Dialog
      title="Live with this finding?"
      isOpen
      onClose={onClose}
      onSubmit={() => {
        if (reason.trim() !== "" && !ignore.isRunning) void submit();
      }}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" isDisabled={reason.trim() === ""} isPending={ignore.isRunning}>
            Ignore finding
          </Button>
        </>
      }
    >
      <p>
        {advisory.title}: <Name>{advisory.object}</Name>. Everybody of the project sees the reason.
      </p>
      <TextField label="Reason" value={reason} onChange={setReason} maxLength={500} autoFocus />
      <InlineError error={ignore.error} />
    </Dialog>
  );
}
