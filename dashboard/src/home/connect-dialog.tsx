/** Everything one needs to connect, in one place: one click each, the password only when asked for. */
import { useState } from "react";
import { useMutation } from "../graphql/hooks.ts";
import { type Role, roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { CodeView, type TabItem, Tabs } from "../ui/parts.tsx";
import { InlineError } from "../ui/state.tsx";
import { type ProjectAccessQuery, type ProjectHomeQuery, RevealDatabaseUrlDocument } from "./generated/operations.ts";
import * as snippets from "./snippets.ts";

export function ConnectDialog({
  project,
  access,
  viewerRole,
  onClose,
}: {
  readonly project: ProjectHomeQuery["project"];
  /** Absent for viewers, who see no keys. */
  readonly access: ProjectAccessQuery["project"] | undefined;
  readonly viewerRole: Role;
  readonly onClose: () => void;
}) {
  const [databaseUrl, setDatabaseUrl] = useState<string | null>(null);
  const reveal = useMutation(RevealDatabaseUrlDocument);
  const publicKey =
    access?.apiKeys.find(({ key, revokedAt, kind }) => key && !revokedAt && kind === "PUBLISHABLE")?.key ??
    access?.apiKeys.find(({ key, revokedAt }) => key && !revokedAt)?.key ??
    "[YOUR-ANON-KEY]";
  const input: snippets.SnippetInput = { url: project.url, publicKey, database: access?.database ?? null, databaseUrl };
  const snippet = (id: string, title: string, code: string): TabItem => ({
    id,
    title,
    content: <CodeView label={`the snippet for ${title}`} code={code} />,
  });
  const items = [
    snippet("supabase-js", "supabase-js", snippets.supabaseJs(input)),
    snippet("rest", "REST", snippets.restCall(input)),
    ...(input.database
      ? [
          snippet("psql", "psql", snippets.psql(input)),
          snippet("uri", "Connection string", `${snippets.connectionString(input)}\n`),
          snippet("prisma", "Prisma", snippets.prisma(input)),
          snippet("drizzle", "Drizzle", snippets.drizzle(input)),
          snippet("sqlalchemy", "SQLAlchemy", snippets.sqlAlchemy(input)),
          snippet("env", ".env", snippets.dotEnv(input)),
        ]
      : []),
  ];
  const mayReveal = input.database !== null && roleAllows(viewerRole, "ADMIN");
  return (
    <Dialog
      title={`Connect to ${project.name}`}
      isOpen
      isWide
      onClose={onClose}
      actions={
        mayReveal ? (
          databaseUrl === null ? (
            <Button
              isPending={reveal.isRunning}
              onPress={async () => {
                const { data } = await reveal.run({ ref: project.ref });
                if (data) setDatabaseUrl(data.revealDatabaseUrl);
              }}
            >
              Reveal the database password
            </Button>
          ) : (
            <Button onPress={() => setDatabaseUrl(null)}>Hide the password</Button>
          )
        ) : null
      }
    >
      <Tabs label="How to connect" items={items} />
      <InlineError error={reveal.error} />
    </Dialog>
  );
}
