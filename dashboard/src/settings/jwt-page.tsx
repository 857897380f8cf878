/** What signs the tokens of a project's users: the JWT secret, and signing keys in three steps. */
import { useState } from "react";
import { type OperationText, useMutation, useQuery } from "../graphql/hooks.ts";
import { Page, Section } from "../shell/page.tsx";
import { NeedsRole, useProject } from "../shell/project-layout.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { DataList } from "../ui/data-list.tsx";
import { ConfirmDialog } from "../ui/dialog.tsx";
import { plural } from "../ui/format.ts";
import { Ago, type Step, Steps } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, Loading } from "../ui/state.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import {
  ApiKeysDocument,
  CreateSigningKeyDocument,
  RemoveSigningKeyDocument,
  RotateJwtSecretDocument,
  RotateSigningKeyDocument,
  SigningKeysDocument,
  type SigningKeysQuery,
} from "./generated/operations.ts";

type SigningKey = SigningKeysQuery["project"]["signingKeys"][number];

const STATE_TEXT = {
  STANDBY: { tone: "info", text: "standby: verifies already, signs after the next rotation" },
  CURRENT: { tone: "success", text: "current: signs tokens" },
  PREVIOUS: { tone: "neutral", text: "previous: verifies what it has signed" },
} as const;

export function JwtPage() {
  const { name } = useProject();
  return (
    <Page
      title="JWT"
      documentTitle={`JWT of ${name}`}
      lead="What signs the tokens of the project’s users, and what a change of it breaks."
    >
      <NeedsRole least="DEVELOPER" what="keys">
        <SigningKeys />
        <JwtSecret />
      </NeedsRole>
    </Page>
  );
}

function SigningKeys() {
  const { ref, viewerRole } = useProject();
  const { data, error, refetch } = useQuery(SigningKeysDocument, { ref });
  const create = useMutation(CreateSigningKeyDocument);
  const [asked, setAsked] = useState<"rotate" | SigningKey | null>(null);
  const mayManage = roleAllows(viewerRole, "ADMIN");
  const keys = data?.project.signingKeys;
  const isThere = (state: SigningKey["state"]) => keys?.some((key) => key.state === state) ?? false;

  return (
    <Section
      title="Signing keys"
      lead="ES256 key pairs: other programs verify tokens by the public half, and a rotation signs nobody out."
      actions={
        mayManage ? (
          <>
            <Button
              isDisabled={isThere("STANDBY")}
              isPending={create.isRunning}
              onPress={async () => {
                const outcome = await create.run({ ref });
                if (outcome.error) toastFailure(outcome.error.message);
                refetch();
              }}
            >
              Make a standby key
            </Button>
            <Button isDisabled={!isThere("STANDBY")} onPress={() => setAsked("rotate")}>
              Rotate…
            </Button>
          </>
        ) : null
      }
    >
      {error && !keys ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!keys && !error ? <Loading what="the signing keys" lines={3} /> : null}
      {keys ? <Steps label="Rotation" steps={rotationSteps(keys)} /> : null}
      {keys?.length === 0 ? (
        <EmptyState title="No signing keys">Tokens are signed with the JWT secret, as in older projects.</EmptyState>
      ) : null}
      {keys && keys.length > 0 ? (
        <DataList
          label="Signing keys"
          items={keys}
          keyOf={({ kid }) => kid}
          columns={[
            { id: "kid", title: "Key id", place: "primary", cell: ({ kid }) => <code>{kid}</code> },
            {
              id: "state",
              title: "State",
              cell: ({ state }) => <Badge tone={STATE_TEXT[state].tone}>{STATE_TEXT[state].text}</Badge>,
            },
            { id: "created", title: "Created", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
            {
              id: "remove",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (key) =>
                mayManage ? (
                  <Button size="small" aria-label={`Remove ${key.kid}`} onPress={() => setAsked(key)}>
                    Remove
                  </Button>
                ) : null,
            },
          ]}
        />
      ) : null}
      <Question
        title="Rotate the signing keys?"
        label="Rotate keys"
        isOpen={asked === "rotate"}
        onClose={() => setAsked(null)}
        document={RotateSigningKeyDocument}
        variables={{ ref }}
        onDone={refetch}
      >
        The standby key signs from now on. Tokens that the present key has signed stay valid; nobody is signed out.
        Remove the previous key when its tokens have run out.
      </Question>
      {asked && asked !== "rotate" ? (
        <Question
          title="Remove this signing key?"
          label="Remove key"
          isOpen
          isDanger
          typedName={asked.state === "CURRENT" ? asked.kid : undefined}
          onClose={() => setAsked(null)}
          document={RemoveSigningKeyDocument}
          variables={{ ref, kid: asked.kid }}
          onDone={refetch}
        >
          {asked.state === "STANDBY"
            ? "It has signed nothing yet: nothing breaks."
            : `Every token that it has signed is refused at once: users must refresh or sign in again. ${
                asked.state === "CURRENT" ? "Afterwards tokens are signed with the JWT secret." : ""
              }`}
        </Question>
      ) : null}
    </Section>
  );
}

/** Pure: where a project is between its first key and the removal of an old one. */
export function rotationSteps(keys: readonly Pick<SigningKey, "state">[]): Step[] {
  const has = (state: SigningKey["state"]) => keys.some((key) => key.state === state);
  const isRotated = has("CURRENT") || has("PREVIOUS");
  return [
    {
      name: "Make a standby key: everybody learns to verify it",
      state: has("STANDBY") || isRotated ? "done" : "next",
    },
    {
      name: "Rotate: it signs, the one before it still verifies",
      state: isRotated ? "done" : has("STANDBY") ? "next" : "waiting",
    },
    {
      name: "Remove the previous key when its tokens have run out",
      state: has("PREVIOUS") ? "next" : has("CURRENT") ? "done" : "waiting",
    },
  ];
}

function JwtSecret() {
  const { ref, name, viewerRole } = useProject();
  const { data } = useQuery(ApiKeysDocument, { ref });
  const [isAsked, setAsked] = useState(false);
  const legacy = data?.project.apiKeys.filter(({ kind, revokedAt }) => kind === "LEGACY" && !revokedAt).length ?? 0;
  if (!roleAllows(viewerRole, "ADMIN")) return null;
  return (
    <Section
      title="JWT secret"
      lead="Signs the legacy keys anon and service_role, and user tokens while there is no current signing key."
      actions={<Button onPress={() => setAsked(true)}>Rotate the secret…</Button>}
    >
      <Question
        title="Rotate the JWT secret?"
        label="Rotate secret"
        isOpen={isAsked}
        isDanger
        typedName={name}
        onClose={() => setAsked(false)}
        document={RotateJwtSecretDocument}
        variables={{ ref }}
        onDone={() => toast("The JWT secret is rotated; new legacy keys are on the page of API keys.")}
      >
        {`${plural(legacy, "legacy key")} stop working at once, and so does every user token that the secret has signed: users sign in again. Applications with a legacy key need the new one. Publishable and secret keys go on.`}
      </Question>
    </Section>
  );
}

function Question<Variables extends Record<string, unknown>>({
  title,
  label,
  isOpen,
  isDanger = false,
  typedName,
  onClose,
  document,
  variables,
  onDone,
  children,
}: {
  readonly title: string;
  readonly label: string;
  readonly isOpen: boolean;
  readonly isDanger?: boolean;
  readonly typedName?: string | undefined;
  readonly onClose: () => void;
  readonly document: OperationText<unknown, Variables>;
  readonly variables: Variables;
  readonly onDone: () => void;
  readonly children: string;
}) {
  const deed = useMutation(document);
  return (
    <ConfirmDialog
      title={title}
      isOpen={isOpen}
      onClose={() => {
        deed.forgetError();
        onClose();
      }}
      confirmLabel={label}
      isDanger={isDanger}
      {...(typedName === undefined ? {} : { typedName })}
      isRunning={deed.isRunning}
      error={deed.error}
      onConfirm={async () => {
        const { error } = await deed.run(variables);
        if (error) return;
        onClose();
        onDone();
      }}
    >
      <p>{children}</p>
    </ConfirmDialog>
  );
}
