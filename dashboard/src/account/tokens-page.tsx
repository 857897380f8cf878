/** Personal access tokens: for scripts and the command line. A token's value is shown once, when it is made. */
import { Plus } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { Button } from "../ui/button.tsx";
import { DataList } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog, OnceDialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { Ago, Name } from "../ui/parts.tsx";
import { EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import {
  AccessTokensDocument,
  type AccessTokensQuery,
  CreateAccessTokenDocument,
  RevokeAccessTokenDocument,
} from "./generated/operations.ts";

type Token = NonNullable<AccessTokensQuery["viewer"]>["accessTokens"][number];

const DAY_MS = 86_400_000;
const LIVES = [
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "One year" },
  { value: "never", label: "Does not expire" },
] as const;

export function TokensPage() {
  const { data, error, refetch } = useQuery(AccessTokensDocument, {});
  const [isCreating, setCreating] = useState(false);
  const [created, setCreated] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const revoke = useMutation(RevokeAccessTokenDocument);
  const tokens = data?.viewer?.accessTokens;
  const newToken = (
    <Button variant="primary" onPress={() => setCreating(true)}>
      <Plus aria-hidden /> New token
    </Button>
  );
  return (
    <Page
      title="Access tokens"
      documentTitle="Access tokens"
      lead="For the command line and scripts. A token can do what you can, except change credentials."
      actions={newToken}
    >
      {error && !tokens ? <ErrorState error={error} onRetry={refetch} what="account" /> : null}
      {!tokens && !error ? <Loading what="your tokens" /> : null}
      {tokens?.length === 0 ? (
        <EmptyState title="No access tokens">Make one to use the API from a script.</EmptyState>
      ) : null}
      {tokens && tokens.length > 0 ? (
        <DataList
          label="Access tokens"
          items={tokens}
          keyOf={({ id }) => id}
          columns={[
            { id: "name", title: "Name", place: "primary", cell: ({ name }) => <Name>{name}</Name> },
            { id: "prefix", title: "Token", isQuiet: true, cell: ({ prefix }) => <code>{prefix}…</code> },
            { id: "created", title: "Created", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
            { id: "used", title: "Last used", isQuiet: true, cell: ({ lastUsedAt }) => <Ago at={lastUsedAt} /> },
            { id: "expires", title: "Expires", isQuiet: true, cell: ({ expiresAt }) => <Ago at={expiresAt} /> },
            {
              id: "revoke",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (token) => (
                <Button size="small" aria-label={`Revoke ${token.name}`} onPress={() => setRevoking(token)}>
                  Revoke
                </Button>
              ),
            },
          ]}
        />
      ) : null}
      {isCreating ? (
        <NewTokenDialog
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
          title="Your new access token"
          note="It is shown only now. Keep it where the script reads it, and out of its source."
          values={[["Token", created]]}
          onClose={() => setCreated(null)}
        />
      )}
      {revoking ? (
        <ConfirmDialog
          title={`Revoke “${revoking.name}”?`}
          isOpen
          onClose={() => setRevoking(null)}
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
          <p>Whoever uses it is refused from now on. It cannot be undone.</p>
        </ConfirmDialog>
      ) : null}
    </Page>
  );
}

function NewTokenDialog({
  onClose,
  onCreated,
}: {
  readonly onClose: () => void;
  readonly onCreated: (token: string) => void;
}) {
  const [name, setName] = useState("");
  const [life, setLife] = useState<(typeof LIVES)[number]["value"]>("90");
  const create = useMutation(CreateAccessTokenDocument);
  const submit = async () => {
    const expiresAt = life === "never" ? null : new Date(Date.now() + Number(life) * DAY_MS).toISOString();
    const { data } = await create.run({ name, expiresAt });
    if (data) onCreated(data.createAccessToken.token);
  };
  return (
    <Dialog
      title="New access token"
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
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        autoFocus
        error={fieldError(create.error, "name")}
        help="What it is for, so that you know it again."
      />
      <Select label="Expires" value={life} onChange={setLife} choices={LIVES} />
      <InlineError error={errorBeside(create.error, "name")} />
    </Dialog>
  );
}
