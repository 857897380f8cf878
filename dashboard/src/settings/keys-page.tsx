/** API keys: what they are for, making and revoking them. Revoked ones stay to be seen. */
import { Plus } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { KeyValueCell, keyTitle } from "../home/keys.tsx";
import { Page } from "../shell/page.tsx";
import { NeedsRole, useProject } from "../shell/project-layout.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { cx } from "../ui/cx.ts";
import { DataList } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog, OnceDialog } from "../ui/dialog.tsx";
import { Segmented, TextField } from "../ui/field.tsx";
import { Ago, Name } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import {
  ApiKeysDocument,
  type ApiKeysQuery,
  CreateApiKeyDocument,
  RevokeApiKeyDocument,
} from "./generated/operations.ts";
import styles from "./settings.module.css";

type ApiKey = ApiKeysQuery["project"]["apiKeys"][number];
type NewKind = "PUBLISHABLE" | "SECRET";

const KINDS: Readonly<Record<ApiKey["kind"], string>> = {
  PUBLISHABLE: "publishable",
  SECRET: "secret",
  LEGACY: "legacy JWT",
};

export function KeysPage() {
  const { name } = useProject();
  return (
    <NeedsRole least="DEVELOPER" what="keys">
      <Keys key={name} />
    </NeedsRole>
  );
}

function Keys() {
  const { ref, name, viewerRole } = useProject();
  const { data, error, refetch } = useQuery(ApiKeysDocument, { ref });
  const [isCreating, setCreating] = useState(false);
  const [created, setCreated] = useState<{ name: string; key: string } | null>(null);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const revoke = useMutation(RevokeApiKeyDocument);
  const mayManage = roleAllows(viewerRole, "ADMIN");
  const keys = data?.project.apiKeys;
  return (
    <Page
      title="API keys"
      documentTitle={`API keys of ${name}`}
      lead="A publishable key may be in a page or an app; row-level security decides what it reads. A secret key bypasses it and belongs on servers."
      actions={
        mayManage ? (
          <Button variant="primary" onPress={() => setCreating(true)}>
            <Plus aria-hidden /> New key
          </Button>
        ) : null
      }
    >
      {error && !keys ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!keys && !error ? <Loading what="the keys" /> : null}
      {keys?.length === 0 ? <EmptyState title="No keys">Without a key nobody can call the project.</EmptyState> : null}
      {keys && keys.length > 0 ? (
        <DataList
          label="API keys"
          items={keys.toSorted((a, b) => Number(Boolean(a.revokedAt)) - Number(Boolean(b.revokedAt)))}
          keyOf={({ id }) => id}
          columns={[
            {
              id: "name",
              title: "Name",
              place: "primary",
              cell: (key) => (
                <span className={cx(key.revokedAt && styles.revoked)}>
                  <Name>{key.kind === "LEGACY" ? keyTitle(key) : key.name}</Name>
                </span>
              ),
            },
            { id: "kind", title: "Kind", cell: ({ kind }) => <Badge>{KINDS[kind]}</Badge> },
            {
              id: "key",
              title: "Key",
              isGrowing: true,
              cell: (key) =>
                key.revokedAt ? (
                  <code>{key.prefix}…</code>
                ) : (
                  <KeyValueCell projectRef={ref} apiKey={key} viewerRole={viewerRole} />
                ),
            },
            {
              id: "created",
              title: "Created",
              isQuiet: true,
              isNarrow: true,
              cell: ({ createdAt }) => <Ago at={createdAt} />,
            },
            {
              id: "revoke",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (key) =>
                key.revokedAt ? (
                  <Badge>revoked</Badge>
                ) : mayManage ? (
                  <Button size="small" aria-label={`Revoke ${keyTitle(key)}`} onPress={() => setRevoking(key)}>
                    Revoke
                  </Button>
                ) : null,
            },
          ]}
        />
      ) : null}
      {isCreating ? (
        <NewKeyDialog
          projectRef={ref}
          onClose={() => setCreating(false)}
          onCreated={(key) => {
            setCreating(false);
            setCreated(key);
            refetch();
          }}
        />
      ) : null}
      {created ? (
        <OnceDialog
          title={`The key “${created.name}”`}
          note="It works already. Admins can reveal it again on this page."
          values={[["Key", created.key]]}
          onClose={() => setCreated(null)}
        />
      ) : null}
      {revoking ? (
        <ConfirmDialog
          title={`Revoke “${keyTitle(revoking)}”?`}
          isOpen
          onClose={() => {
            revoke.forgetError();
            setRevoking(null);
          }}
          confirmLabel="Revoke key"
          isRunning={revoke.isRunning}
          error={revoke.error}
          onConfirm={async () => {
            const outcome = await revoke.run({ ref, id: revoking.id });
            if (outcome.error) return;
            setRevoking(null);
            toast("The key is revoked.");
          }}
        >
          <p>Requests with it are refused within 100 ms, everywhere. It cannot be undone.</p>
        </ConfirmDialog>
      ) : null}
    </Page>
  );
}

function NewKeyDialog({
  projectRef,
  onClose,
  onCreated,
}: {
  readonly projectRef: string;
  readonly onClose: () => void;
  readonly onCreated: (key: { name: string; key: string }) => void;
}) {
  const [name, setName] = useState("");
  const [kind, setKind] = useState<NewKind>("PUBLISHABLE");
  const create = useMutation(CreateApiKeyDocument);
  const submit = async () => {
    const { data } = await create.run({ ref: projectRef, name, kind });
    if (data) onCreated({ name: data.createApiKey.apiKey.name, key: data.createApiKey.key });
  };
  return (
    <Dialog
      title="New key"
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={create.isRunning}>
            Create key
          </Button>
        </>
      }
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        autoFocus
        error={fieldError(create.error, "name")}
        help="What it is for: one key a program, so that one can be revoked without the others."
      />
      <Segmented<NewKind>
        label="Kind"
        value={kind}
        onChange={setKind}
        choices={[
          { value: "PUBLISHABLE", label: "Publishable" },
          { value: "SECRET", label: "Secret" },
        ]}
      />
      <InlineError error={errorBeside(create.error, "name")} />
    </Dialog>
  );
}
