/** Host names of the project's own: what is to be set in DNS for each, and whether it was found. */
import { useQuery } from "../graphql/hooks.ts";
import { Section } from "../shell/page.tsx";
import { useProject } from "../shell/project-layout.tsx";
import { Button } from "../ui/button.tsx";
import { Copyable } from "../ui/copy.tsx";
import { DataList } from "../ui/data-list.tsx";
import { Ago, Name } from "../ui/parts.tsx";
import { ErrorState, StateDot } from "../ui/state.tsx";
import { CustomHostsDocument } from "./generated/operations.ts";

const STATES = {
  PENDING: { tone: "unknown", word: "Not proved yet" },
  VERIFIED: { tone: "good", word: "Leads here" },
  FAILING: { tone: "bad", word: "Its record is gone" },
} as const;

export function CustomHosts() {
  const { ref } = useProject();
  const { data, error, refetch } = useQuery(CustomHostsDocument, { ref });
  const hosts = data?.project.customHosts ?? [];
  if (error && !data) return <ErrorState error={error} onRetry={refetch} what="project" />;
  if (hosts.length === 0) return null;
  return (
    <Section
      title="Records of the custom hosts"
      lead="One of a host’s records has to be in the DNS and to stay there: the CNAME, which also brings the requests here, or the TXT."
      actions={<Button onPress={refetch}>Look again</Button>}
    >
      <DataList
        label="Custom hosts"
        items={hosts.flatMap(({ records, ...host }) => records.map((record) => ({ ...host, record })))}
        keyOf={({ host, record }) => `${host} ${record.type}`}
        columns={[
          { id: "host", title: "Host", place: "primary", cell: ({ host }) => <Name>{host}</Name> },
          {
            id: "state",
            title: "State",
            cell: ({ state, lastError, routedUntil }) => (
              <StateDot tone={STATES[state].tone}>
                {STATES[state].word}
                {state === "FAILING" && routedUntil ? (
                  <>
                    ; leads here until <Ago at={routedUntil} />
                  </>
                ) : lastError ? (
                  `: ${lastError}`
                ) : (
                  ""
                )}
              </StateDot>
            ),
          },
          { id: "type", title: "Type", cell: ({ record }) => record.type },
          { id: "name", title: "Name", cell: ({ record }) => <Copyable name="record name" value={record.name} /> },
          { id: "value", title: "Value", cell: ({ record }) => <Copyable name="record value" value={record.value} /> },
          {
            id: "checked",
            title: "Looked for",
            isQuiet: true,
            isNarrow: true,
            cell: ({ checkedAt }) => <Ago at={checkedAt} />,
          },
        ]}
      />
    </Section>
  );
}
