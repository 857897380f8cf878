/** Tokens by which gateways and services read the projects' configuration. */
import { Plus } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { Button } from "../ui/button.tsx";
import { DataList } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog, OnceDialog } from "../ui/dialog.tsx";
import { Segmented, TextField } from "../ui/field.tsx";
import { Ago, Name } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import {
  CreateServiceTokenDocument,
  RevokeServiceTokenDocument,
  ServiceTokensDocument,
  type ServiceTokensQuery,
} from "./generated/operations.ts";

type ServiceToken = ServiceTokensQuery["serviceTokens"][number];
const AUDIENCES = { GATEWAY: "gateway", SERVICE: "service" } as const;

export function ServicesPage() {
  const { data, error, refetch } = useQuery(ServiceTokensDocument, {});
  const [isCreating, setCreating] = useState(false);
  const [created, setCreated] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<ServiceToken | null>(null);
  const revoke = useMutation(RevokeServiceTokenDocument);
  const tokens = data?.serviceTokens;
  return (
    <Page
      title="Service tokens"
      documentTitle="Service tokens"
      lead="By these, gateways and services of this installation read the configuration of projects, and nothing else."
      actions={
        <Button variant="primary" onPress={() => setCreating(true)}>
          <Plus aria-hidden /> New token
        </Button>
      }
    >
      {error && !tokens ? <ErrorState error={error} onRetry={refetch} what="page" /> : null}
      {!tokens && !error ? <Loading what="the tokens" /> : null}
      {tokens?.length === 0 ? <EmptyState title="No service tokens" /> : null}
      {tokens && tokens.length > 0 ? (
        <DataList
          label="Service tokens"
          items={tokens}
          keyOf={({ id }) => id}
          columns={[
            { id: "name", title: "Name", place: "primary", cell: ({ name }) => <Name>{name}</Name> },
            { id: "audience", title: "For", cell: ({ audience }) => <Badge>{AUDIENCES[audience]}</Badge> },
            { id: "created", title: "Created", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
            {
              id: "revoke",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (token) => (
                <Button
                  size="small"
                  aria-label={`Revoke ${token.name} (${AUDIENCES[token.audience]})`}
                  onPress={() => setRevoking(token)}
                >
                  Revoke
                </Button>
              ),
            },
          ]}
        />
      ) : null}
      {isCreating ? (
        <NewServiceTokenDialog
          onClose={() => setCreating(false)}
          onCreated={(token) => {
            setCreating(false);
            setCreated(token);
            refetch();
          }}
        />
      ) : null}
      {created === null ? null : (
        <OnceDialog
          title="The service token"
          note="It is shown only now. Put it into the environment of the gateway or service."
          values={[["Token", created]]}
          onClose={() => setCreated(null)}
        />
      )}
      {revoking ? (
        <ConfirmDialog
          title={`Revoke “${revoking.name}”?`}
          isOpen
          onClose={() => {
            revoke.forgetError();
            setRevoking(null);
          }}
          typedName={revoking.name}
          confirmLabel="Revoke token"
          isRunning={revoke.isRunning}
          error={revoke.error}
          onConfirm={async () => {
            const outcome = await revoke.run({ id: revoking.id });
            if (outcome.error) return;
            setRevoking(null);
            refetch();
            toast("The token is revoked.");
          }}
        >
          <p>
            Whoever uses it hears of no change any more and serves what it knows already: new projects, new keys and
            revocations do not reach it.
          </p>
        </ConfirmDialog>
      ) : null}
    </Page>
  );
}

function NewServiceTokenDialog({
  onClose,
  onCreated,
}: {
  readonly onClose: () => void;
  readonly onCreated: (token: string) => void;
}) {
  const [name, setName] = useState("");
  const [audience, setAudience] = useState<ServiceToken["audience"]>("GATEWAY");
  const create = useMutation(CreateServiceTokenDocument);
  const submit = async () => {
    const { data } = await create.run({ audience, name });
    if (data) onCreated(data.createServiceToken.token);
  };
  return (
    <Dialog
      title="New service token"
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={create.isRunning}>
            Create token
          </Button>
        </>
      }
    >
      <TextField label="Name" value={name} onChange={setName} autoFocus error={fieldError(create.error, "name")} />
      <Segmented<ServiceToken["audience"]>
        label="For"
        value={audience}
        onChange={setAudience}
        choices={[
          { value: "GATEWAY", label: "A gateway" },
          { value: "SERVICE", label: "A service" },
        ]}
      />
      <p>
        {audience === "GATEWAY"
          ? "Reads routes and hashes of keys; no database credentials, no signing keys."
          : "Reads database credentials and signing keys of every project: keep it as you keep those."}
      </p>
      <InlineError error={errorBeside(create.error, "name")} />
    </Dialog>
  );
}
