/** Everybody's accounts: for the owner, who helps those that have lost their password. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page, Toolbar } from "../shell/page.tsx";
import { useViewer } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { DataList, type PagePlace, Pager, pageArguments } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog } from "../ui/dialog.tsx";
import { DelayedSearchField, TextField } from "../ui/field.tsx";
import { plural, visible } from "../ui/format.ts";
import { Ago, Name } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import {
  AccountsDocument,
  type AccountsQuery,
  DeleteAccountDocument,
  SetAccountPasswordDocument,
} from "./generated/operations.ts";

type Account = AccountsQuery["accounts"]["edges"][number]["node"];
const PAGE_SIZE = 50;

export function AccountsPage() {
  const search = useSearch({ strict: false }) as PagePlace & { q?: string };
  const navigate = useNavigate();
  const viewer = useViewer();
  const { data, error, refetch } = useQuery(AccountsDocument, {
    search: search.q ?? null,
    ...pageArguments(search, PAGE_SIZE),
  });
  const [helping, setHelping] = useState<Account | null>(null);
  const [deleting, setDeleting] = useState<Account | null>(null);
  const remove = useMutation(DeleteAccountDocument);
  const go = (change: Partial<Record<"q" | "after" | "before", string | undefined>>) =>
    void navigate({ to: ".", search: { ...search, after: undefined, before: undefined, ...change } as never });
  const accounts = data?.accounts;
  return (
    <Page
      title="Accounts"
      documentTitle="Accounts"
      lead={accounts ? `${plural(accounts.totalCount, "account")} of this installation` : undefined}
    >
      <Toolbar>
        <DelayedSearchField
          label="Part of an e-mail or a name"
          value={search.q ?? ""}
          onChange={(q) => go({ q: q || undefined })}
        />
        {accounts ? <Pager pageInfo={accounts.pageInfo} onMove={(place) => go(place)} /> : null}
      </Toolbar>
      {error && !accounts ? <ErrorState error={error} onRetry={refetch} what="page" /> : null}
      {!accounts && !error ? <Loading what="the accounts" /> : null}
      {accounts?.edges.length === 0 ? (
        <EmptyState
          title={`Nothing matches “${visible(search.q ?? "")}”`}
          actions={<Button onPress={() => go({ q: undefined })}>Clear filters</Button>}
        />
      ) : null}
      {accounts && accounts.edges.length > 0 ? (
        <DataList
          label="Accounts"
          items={accounts.edges.map(({ node }) => node)}
          keyOf={({ id }) => id}
          columns={[
            {
              id: "email",
              title: "E-mail",
              place: "primary",
              cell: ({ email, isInstanceOwner }) => (
                <>
                  <Name>{email}</Name> {isInstanceOwner ? <Badge tone="accent">owner</Badge> : null}
                </>
              ),
            },
            { id: "name", title: "Name", isQuiet: true, cell: ({ name }) => (name ? <Name>{name}</Name> : "–") },
            { id: "since", title: "Since", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
            {
              id: "actions",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (account) =>
                account.id === viewer.id ? null : (
                  <>
                    <Button
                      size="small"
                      aria-label={`New password for ${account.email}`}
                      onPress={() => setHelping(account)}
                    >
                      New password
                    </Button>{" "}
                    <Button size="small" aria-label={`Delete ${account.email}`} onPress={() => setDeleting(account)}>
                      Delete
                    </Button>
                  </>
                ),
            },
          ]}
        />
      ) : null}
      {helping ? <PasswordDialog account={helping} onClose={() => setHelping(null)} /> : null}
      {deleting ? (
        <ConfirmDialog
          title={`Delete the account of ${deleting.email}?`}
          isOpen
          onClose={() => {
            remove.forgetError();
            setDeleting(null);
          }}
          typedName={deleting.email}
          confirmLabel="Delete account"
          isRunning={remove.isRunning}
          error={remove.error}
          onConfirm={async () => {
            const outcome = await remove.run({ accountId: deleting.id });
            if (outcome.error) return;
            setDeleting(null);
            refetch();
            toast("The account is deleted.");
          }}
        >
          <p>Its access tokens and memberships go with it. Organizations and projects stay.</p>
        </ConfirmDialog>
      ) : null}
    </Page>
  );
}

function PasswordDialog({ account, onClose }: { readonly account: Account; readonly onClose: () => void }) {
  const [password, setPassword] = useState("");
  const set = useMutation(SetAccountPasswordDocument);
  const submit = async () => {
    const { error } = await set.run({ accountId: account.id, newPassword: password });
    if (error) return;
    toast(`${account.email} has a new password; its sessions have ended.`);
    onClose();
  };
  return (
    <Dialog
      title={`New password for ${account.email}`}
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={set.isRunning}>
            Set password
          </Button>
        </>
      }
    >
      <p>
        Ends all sessions of the account; its access tokens stay. Hand the password over; the person should change it.
      </p>
      <TextField
        label="New password"
        type="password"
        autoComplete="new-password"
        autoFocus
        value={password}
        onChange={setPassword}
        error={fieldError(set.error, "newPassword")}
        help="At least 8 characters."
      />
      <InlineError error={errorBeside(set.error, "newPassword")} />
    </Dialog>
  );
}
