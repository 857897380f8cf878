/** What a table is made of: columns, constraints, indexes, triggers; and its policies. */
import { type ReactNode, useState } from "react";
import { Section } from "../shell/page.tsx";
import { Button } from "../ui/button.tsx";
import { DataList } from "../ui/data-list.tsx";
import { visible } from "../ui/format.ts";
import { Badge, Banner, EmptyState } from "../ui/state.tsx";
import { NewPolicyDialog } from "./new-policy-dialog.tsx";
import type { ShownRelation } from "./table-view.tsx";
import styles from "./tables.module.css";

export function Structure({
  relation,
  view,
  onChanged,
}: {
  readonly relation: ShownRelation;
  readonly view: "structure" | "policies";
  readonly onChanged: () => void;
}) {
  return (
    <div className={`${styles.body} ${styles.padded}`}>
      {view === "policies" ? <Policies relation={relation} onChanged={onChanged} /> : <Parts relation={relation} />}
    </div>
  );
}

function Parts({ relation }: { readonly relation: ShownRelation }) {
  return (
    <>
      <Section title="Columns">
        <DataList
          label="Columns"
          items={relation.columns}
          keyOf={({ name }) => name}
          columns={[
            { id: "name", title: "Name", place: "primary", cell: ({ name }) => <bdi>{visible(name)}</bdi> },
            { id: "type", title: "Type", cell: ({ type }) => <code>{visible(type)}</code> },
            { id: "null", title: "May be NULL", cell: ({ notNull }) => (notNull ? "no" : "yes") },
            {
              id: "default",
              title: "Default",
              cell: ({ defaultSql, isIdentity, isGenerated }) =>
                isIdentity ? (
                  "identity"
                ) : defaultSql ? (
                  <code>{`${isGenerated ? "generated: " : ""}${visible(defaultSql)}`}</code>
                ) : (
                  "–"
                ),
            },
            {
              id: "key",
              title: "Key",
              cell: ({ name }) => (relation.rowKey.includes(name) ? <Badge tone="accent">key</Badge> : "–"),
            },
          ]}
        />
      </Section>
      <Definitions title="Constraints" parts={relation.constraints} />
      <Definitions title="Indexes" parts={relation.indexes} />
      <Definitions title="Triggers" parts={relation.triggers} />
    </>
  );
}

function Definitions({
  title,
  parts,
}: {
  readonly title: string;
  readonly parts: readonly { readonly name: string; readonly definition: string }[];
}): ReactNode {
  if (parts.length === 0) return null;
  return (
    <Section title={title}>
      <DataList
        label={title}
        items={parts}
        keyOf={({ name }) => name}
        columns={[
          { id: "name", title: "Name", place: "primary", cell: ({ name }) => <bdi>{visible(name)}</bdi> },
          { id: "definition", title: "Definition", cell: ({ definition }) => <code>{visible(definition)}</code> },
        ]}
      />
    </Section>
  );
}

function Policies({ relation, onChanged }: { readonly relation: ShownRelation; readonly onChanged: () => void }) {
  const [isCreating, setCreating] = useState(false);
  return (
    <>
      <div className={styles.foot}>
        <Button onPress={() => setCreating(true)}>New policy</Button>
      </div>
      {isCreating ? (
        <NewPolicyDialog
          schema={relation.schema}
          table={relation.name}
          rls={relation.rls}
          onClose={() => setCreating(false)}
          onCreated={() => {
            setCreating(false);
            onChanged();
          }}
        />
      ) : null}
      {relation.rls ? null : (
        <Banner tone="warning">
          Row-level security is off: whoever has rights on the table sees and changes all rows, and policies do nothing.
        </Banner>
      )}
      {relation.policies.length === 0 ? (
        <EmptyState title="No policy">
          {relation.rls ? "Only the owner and the service role see rows." : "There is none on this table."}
        </EmptyState>
      ) : (
        <DataList
          label="Policies"
          items={relation.policies}
          keyOf={({ name }) => name}
          columns={[
            { id: "name", title: "Name", place: "primary", cell: ({ name }) => <bdi>{visible(name)}</bdi> },
            { id: "command", title: "Command", cell: ({ command }) => command },
            { id: "roles", title: "Roles", cell: ({ roles }) => visible(roles.join(", ")) },
            { id: "kind", title: "Kind", cell: ({ isPermissive }) => (isPermissive ? "permissive" : "restrictive") },
            { id: "using", title: "Using", cell: ({ using }) => (using ? <code>{visible(using)}</code> : "–") },
            { id: "check", title: "With check", cell: ({ check }) => (check ? <code>{visible(check)}</code> : "–") },
          ]}
        />
      )}
    </>
  );
}
