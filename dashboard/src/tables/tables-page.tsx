/** Tables: a list by schema, and the rows, structure and policies of the one that is open. */
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Plus, ShieldAlert, ShieldCheck, Table2, View } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Provider } from "urql";
import { data as dataClient } from "../graphql/client.ts";
import { useQuery } from "../graphql/hooks.ts";
import { NeedsActive, NeedsRole, useProject } from "../shell/project-layout.tsx";
import { useShortcuts } from "../shell/shortcuts.ts";
import { Button, ButtonLink } from "../ui/button.tsx";
import { DelayedSearchField, Select } from "../ui/field.tsx";
import { visible } from "../ui/format.ts";
import { EmptyState, ErrorState, Loading } from "../ui/state.tsx";
import { approximately } from "./approximately.ts";
import { RelationsDocument, SchemasDocument } from "./generated/operations.ts";
import { NewTableDialog } from "./new-table-dialog.tsx";
import { TableView } from "./table-view.tsx";
import styles from "./tables.module.css";

export function TablesPage() {
  return (
    <NeedsRole least="DEVELOPER" what="tables">
      <NeedsActive>
        <Provider value={dataClient}>
          <Tables />
        </Provider>
      </NeedsActive>
    </NeedsRole>
  );
}

function Tables() {
  const { ref, name } = useProject();
  const { schema: openSchema, table } = useParams({ strict: false }) as { schema?: string; table?: string };
  const search = useSearch({ strict: false }) as { schema?: string; q?: string; as?: string };
  const navigate = useNavigate();
  const schema = openSchema ?? search.schema ?? "public";
  const [text, setText] = useState("");
  const [isCreating, setCreating] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const schemas = useQuery(SchemasDocument, { ref });
  const relations = useQuery(RelationsDocument, { ref, schema, search: text || null });
  useShortcuts({
    search: () => input.current?.focus(),
    create: () => setCreating(true),
    refresh: relations.refetch,
  });
  useEffect(() => {
    document.title = `${table ? visible(table) : "Tables"} of ${name} · Supalove`;
  }, [table, name]);

  const found = relations.data?.project.catalog.relations;
  const names = [...new Set([...(schemas.data?.project.catalog.schemas ?? []), schema])];
  return (
    <div className={styles.page}>
      <nav className={styles.list} aria-label="Tables">
        <Select
          label="Schema"
          isCompact
          value={schema}
          onChange={(next) =>
            void navigate({ to: "/projects/$ref/tables", params: { ref }, search: { schema: next } as never })
          }
          choices={names.map((value) => ({ value, label: visible(value) }))}
        />
        <DelayedSearchField label="Part of a name" value={text} onChange={setText} inputRef={input} />
        {relations.error && !found ? (
          <ErrorState error={relations.error} onRetry={relations.refetch} what="schema" />
        ) : null}
        {!found && !relations.error ? <Loading what={`the tables of ${schema}`} /> : null}
        <ul>
          {found?.map((relation) => (
            <li key={relation.name}>
              <Link
                to="/projects/$ref/tables/$schema/$table"
                params={{ ref, schema, table: relation.name }}
                search={(search.as ? { as: search.as } : {}) as never}
                className={styles.link}
                data-current={relation.name === table}
                title={visible(relation.name)}
              >
                {relation.kind.includes("view") ? (
                  <View aria-label={relation.kind} size={14} />
                ) : relation.rls ? (
                  <ShieldCheck aria-label="Row-level security is on" size={14} />
                ) : (
                  <ShieldAlert aria-label="Row-level security is off" size={14} color="var(--warning)" />
                )}
                <bdi>{visible(relation.name)}</bdi>
                <small>{approximately(relation.estimatedRows)}</small>
              </Link>
            </li>
          ))}
        </ul>
        {found?.length === 0 ? (
          <p>{text ? `Nothing matches “${visible(text)}”` : `No tables in ${visible(schema)}`}</p>
        ) : null}
        {found?.length === 200 ? <p>The first 200; type a part of the name to find others.</p> : null}
        <Button onPress={() => setCreating(true)}>
          <Plus aria-hidden /> New table
        </Button>
      </nav>
      <div className={styles.main}>
        {table ? (
          <TableView key={`${schema} ${table}`} schema={schema} table={table} />
        ) : (
          <div className={styles.padded}>
            <h1 className={styles.head1}>Tables</h1>
            <EmptyState
              title={found?.length === 0 && !text ? `No tables in ${visible(schema)}` : "Choose a table"}
              actions={
                <>
                  <Button onPress={() => setCreating(true)}>
                    <Table2 aria-hidden /> New table
                  </Button>
                  <ButtonLink to="/projects/$ref/sql" params={{ ref } as never}>
                    Open SQL
                  </ButtonLink>
                </>
              }
            >
              A table’s rows, structure and policies are shown here.
            </EmptyState>
          </div>
        )}
      </div>
      {isCreating ? (
        <NewTableDialog
          schema={schema}
          onClose={() => setCreating(false)}
          onCreated={(created) => {
            setCreating(false);
            relations.refetch();
            void navigate({ to: "/projects/$ref/tables/$schema/$table", params: { ref, schema, table: created } });
          }}
        />
      ) : null}
    </div>
  );
}
