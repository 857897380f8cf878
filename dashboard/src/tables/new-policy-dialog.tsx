/** A policy from a template: its SQL is shown first, and a draft is tried and rolled back before it exists. */
import { useState } from "react";
import { type Outcome, useMutation } from "../graphql/hooks.ts";
import { useProject } from "../shell/project-layout.tsx";
import { RunSqlDocument, type RunSqlMutation } from "../sql/generated/operations.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { CodeView } from "../ui/parts.tsx";
import { InlineError } from "../ui/state.tsx";
import {
  createPolicySql,
  enableRlsSql,
  type NewPolicy,
  POLICY_TEMPLATES,
  type PolicyTemplate,
  tryPolicySql,
} from "./policy-sql.ts";

const COMMANDS = ["ALL", "SELECT", "INSERT", "UPDATE", "DELETE"] as const;
const LIMITS = { role: "USER", readOnly: false, maxRows: 10, maxBytes: 10_000, timeoutMs: 10_000 } as const;

export function NewPolicyDialog({
  schema,
  table,
  rls,
  onClose,
  onCreated,
}: {
  readonly schema: string;
  readonly table: string;
  /** Whether row-level security is on; otherwise the policy comes with it. */
  readonly rls: boolean;
  readonly onClose: () => void;
  readonly onCreated: () => void;
}) {
  const { ref } = useProject();
  const [template, setTemplate] = useState<PolicyTemplate>("readAll");
  const [policy, setPolicy] = useState<NewPolicy>({
    schema,
    table,
    name: POLICY_TEMPLATES.readAll.label,
    ...POLICY_TEMPLATES.readAll,
  });
  const [userId, setUserId] = useState("00000000-0000-0000-0000-000000000000");
  const [tried, setTried] = useState<{ readonly sql: string; readonly outcome: Outcome<RunSqlMutation> } | null>(null);
  const runSql = useMutation(RunSqlDocument);
  const sql = rls ? createPolicySql(policy) : `${createPolicySql(policy)}\n${enableRlsSql(policy)}`;
  const trial = tryPolicySql(policy, userId);
  const set = (change: Partial<NewPolicy>) => setPolicy({ ...policy, ...change });
  const create = async () => {
    if (runSql.isRunning) return;
    const { error } = await runSql.run({ input: { ref, sql, rollback: false, ...LIMITS } });
    if (!error) onCreated();
  };
  const tryIt = async () =>
    setTried({ sql: trial, outcome: await runSql.run({ input: { ref, sql: trial, rollback: true, ...LIMITS } }) });
  const counts =
    tried?.sql === trial
      ? tried.outcome.data?.runSql.results.filter(({ columns }) => columns[0]?.name === "count")
      : undefined;
  const [all, anon, user] = (counts ?? []).map(({ rows }) => String((rows[0] as unknown[] | undefined)?.[0] ?? "?"));
  return (
    <Dialog
      title="New policy"
      isOpen
      isWide
      onClose={onClose}
      onSubmit={create}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button isPending={runSql.isRunning} onPress={tryIt}>
            Try and roll back
          </Button>
          <Button variant="primary" type="submit" isPending={runSql.isRunning}>
            Create policy
          </Button>
        </>
      }
    >
      <Select
        label="Template"
        value={template}
        onChange={(next) => {
          setTemplate(next);
          const { label, ...rest } = POLICY_TEMPLATES[next];
          set({ name: label, ...rest });
        }}
        choices={(Object.keys(POLICY_TEMPLATES) as PolicyTemplate[]).map((value) => ({
          value,
          label: POLICY_TEMPLATES[value].label,
        }))}
      />
      <TextField label="Name" value={policy.name} onChange={(name) => set({ name })} />
      <Select
        label="Command"
        value={policy.command}
        onChange={(command) => set({ command })}
        choices={COMMANDS.map((value) => ({ value, label: value }))}
      />
      <TextField label="Roles" mono value={policy.roles} onChange={(roles) => set({ roles })} />
      {policy.command === "INSERT" ? null : (
        <TextField label="Using: rows that are seen" mono value={policy.using} onChange={(using) => set({ using })} />
      )}
      {policy.command === "SELECT" || policy.command === "DELETE" ? null : (
        <TextField
          label="With check: rows that may be written"
          mono
          value={policy.check}
          onChange={(check) => set({ check })}
        />
      )}
      <CodeView label="SQL of the policy" code={sql} />
      <TextField label="Try as the user with this id" mono value={userId} onChange={setUserId} />
      {all !== undefined ? (
        <p role="status">
          Of {all} rows (counted to 1,000) anon sees {anon}, the user {user}. Everything was rolled back.
        </p>
      ) : null}
      <InlineError error={runSql.error} />
    </Dialog>
  );
}
