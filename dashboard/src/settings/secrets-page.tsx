/** Secrets: names to everybody who may look, values to admins who ask. */
import { Plus } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { NeedsRole, useProject } from "../shell/project-layout.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { SecretField } from "../ui/copy.tsx";
import { DataList } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { Ago } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import {
  DeleteSecretDocument,
  RevealSecretDocument,
  SecretsDocument,
  type SecretsQuery,
  SetSecretDocument,
} from "./generated/operations.ts";

type Secret = SecretsQuery["project"]["secrets"][number];

export function SecretsPage() {
  return (
    <NeedsRole least="DEVELOPER" what="secrets">
      <Secrets />
    </NeedsRole>
  );
}

function Secrets() {
  const { ref, name, viewerRole } = useProject();
  const { data, error, refetch } = useQuery(SecretsDocument, { ref });
  const reveal = useMutation(RevealSecretDocument);
  const remove = useMutation(DeleteSecretDocument);
  const [editing, setEditing] = useState<string | null>(null);
  const [deleting, setDeleting] = useState<Secret | null>(null);
  const mayManage = roleAllows(viewerRole, "ADMIN");
  const secrets = data?.project.secrets;
  return (
    <Page
      title="Secrets"
      documentTitle={`Secrets of ${name}`}
      lead="Encrypted with a key of the project’s own. Every reveal is in the audit log."
      actions={
        mayManage ? (
          <Button variant="primary" onPress={() => setEditing("")}>
            <Plus aria-hidden /> New secret
          </Button>
        ) : null
      }
    >
      {error && !secrets ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!secrets && !error ? <Loading what="the secrets" /> : null}
      {secrets?.length === 0 ? <EmptyState title="No secrets">They appear when the project is made.</EmptyState> : null}
      {secrets && secrets.length > 0 ? (
        <DataList
          label="Secrets"
          items={secrets}
          keyOf={(secret) => secret.name}
          columns={[
            { id: "name", title: "Name", place: "primary", cell: (secret) => <code>{secret.name}</code> },
            {
              id: "value",
              title: "Value",
              cell: (secret) => (
                <SecretField
                  name={secret.name}
                  hiddenBecause={mayManage ? undefined : "Only admins reveal it."}
                  reveal={async () => {
                    const outcome = await reveal.run({ ref, name: secret.name });
                    return outcome.error ? outcome : { data: outcome.data.revealSecret, error: null };
                  }}
                />
              ),
            },
            {
              id: "about",
              title: "What it is",
              isQuiet: true,
              cell: ({ isSystem, description }) =>
                isSystem ? (description ?? "made by the system") : <Badge>your own</Badge>,
            },
            {
              id: "updated",
              title: "Changed",
              isQuiet: true,
              isNarrow: true,
              cell: ({ updatedAt }) => <Ago at={updatedAt} />,
            },
            {
              id: "actions",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (secret) =>
                mayManage && !secret.isSystem ? (
                  <>
                    <Button size="small" aria-label={`Change ${secret.name}`} onPress={() => setEditing(secret.name)}>
                      Change
                    </Button>{" "}
                    <Button size="small" aria-label={`Delete ${secret.name}`} onPress={() => setDeleting(secret)}>
                      Delete
                    </Button>
                  </>
                ) : null,
            },
          ]}
        />
      ) : null}
      {editing === null ? null : (
        <SecretDialog
          projectRef={ref}
          existingName={editing}
          onClose={() => setEditing(null)}
          onSaved={() => {
            setEditing(null);
            refetch();
          }}
        />
      )}
      {deleting ? (
        <ConfirmDialog
          title={`Delete ${deleting.name}?`}
          isOpen
          onClose={() => setDeleting(null)}
          confirmLabel="Delete secret"
          isRunning={remove.isRunning}
          error={remove.error}
          onConfirm={async () => {
            const outcome = await remove.run({ ref, name: deleting.name });
            if (outcome.error) return;
            setDeleting(null);
            refetch();
            toast("The secret is deleted.");
          }}
        >
          <p>Whatever reads it finds it gone. Its value cannot be brought back.</p>
        </ConfirmDialog>
      ) : null}
    </Page>
  );
}

function SecretDialog({
  projectRef,
  existingName,
  onClose,
  onSaved,
}: {
  readonly projectRef: string;
  /** Empty for a new one. */
  readonly existingName: string;
  readonly onClose: () => void;
  readonly onSaved: () => void;
}) {
  const [name, setName] = useState(existingName);
  const [value, setValue] = useState("");
  const set = useMutation(SetSecretDocument);
  const submit = async () => {
    const { data } = await set.run({ ref: projectRef, name, value });
    if (!data) return;
    toast(`${name} is saved.`);
    onSaved();
  };
  return (
    <Dialog
      title={existingName ? `Change ${existingName}` : "New secret"}
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={set.isRunning}>
            Save secret
          </Button>
        </>
      }
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        mono
        autoFocus={existingName === ""}
        isReadOnly={existingName !== ""}
        autoComplete="off"
        error={fieldError(set.error, "name")}
        help="Upper-case letters, digits and _, a letter first."
      />
      <TextField
        label="Value"
        value={value}
        onChange={setValue}
        mono
        rows={4}
        autoFocus={existingName !== ""}
        error={fieldError(set.error, "value")}
        help="At most 64 KiB."
      />
      <InlineError error={errorBeside(set.error, "name", "value")} />
    </Dialog>
  );
}
