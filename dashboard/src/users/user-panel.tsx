/** One user: overview, identities, sessions, factors, metadata, and what can be done to the user. */
import { Ellipsis } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { useProject } from "../shell/project-layout.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { Copyable } from "../ui/copy.tsx";
import { ConfirmDialog, Dialog, Sheet } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { Form } from "../ui/form.tsx";
import { formatBytes, plural, visible } from "../ui/format.ts";
import { Menu } from "../ui/menu.tsx";
import { Ago, JsonView, KeyValue, Name, Tabs } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import {
  DeleteProjectUserDocument,
  DeleteProjectUserFactorDocument,
  ProjectUserDetailsDocument,
  type ProjectUserDetailsQuery,
  SetProjectUserBanDocument,
  SetProjectUserRoleDocument,
  SignOutProjectUserDocument,
  UpdateProjectUserDocument,
} from "./generated/operations.ts";
import { RoleField } from "./role-field.tsx";
import { statusOf, UserStatusDot, userTitle } from "./user-status.tsx";
import styles from "./users.module.css";

type Details = ProjectUserDetailsQuery["project"]["userDetails"];
type Deed = "role" | "ban" | "sign-out" | "delete";

const HOUR_MS = 3_600_000;
const BANS = [
  { value: "24", label: "One day" },
  { value: "168", label: "One week" },
  { value: "720", label: "30 days" },
  { value: "876000", label: "Until it is lifted" },
] as const;

export function UserPanel({
  userId,
  knownRoles,
  onClose,
  onChanged,
}: {
  readonly userId: string;
  readonly knownRoles: readonly string[];
  readonly onClose: () => void;
  readonly onChanged: () => void;
}) {
  const { ref } = useProject();
  const { data, error, refetch } = useQuery(ProjectUserDetailsDocument, { ref, id: userId });
  const [deed, setDeed] = useState<Deed | null>(null);
  const confirmEmail = useMutation(UpdateProjectUserDocument);
  const liftBan = useMutation(SetProjectUserBanDocument);
  const readAgain = () => {
    refetch();
    onChanged();
  };
  const done = (text: string) => {
    setDeed(null);
    toast(text);
    readAgain();
  };
  if (!data) {
    return (
      <Sheet title="User" isOpen onClose={onClose}>
        {error ? <ErrorState error={error} onRetry={refetch} what="user" /> : <Loading what="the user" />}
      </Sheet>
    );
  }
  const details = data.project.userDetails;
  const { user } = details;
  const status = statusOf(user);
  const title = userTitle(user);
  const shared = { projectRef: ref, userId, title, onClose: () => setDeed(null), onDone: done };
  return (
    <Sheet title={<bdi>{title}</bdi>} isOpen onClose={onClose}>
      <div className={styles.panel}>
        <div className={styles.head}>
          <UserStatusDot user={user} />
          {user.role ? <Badge tone="accent">{visible(user.role)}</Badge> : null}
          <Button size="small" onPress={() => setDeed("role")}>
            Set role
          </Button>
          <Button size="small" onPress={() => setDeed("sign-out")}>
            Sign out everywhere
          </Button>
          <Menu
            label={`Actions of ${title}`}
            trigger={
              <IconButton label={`Actions of ${title}`}>
                <Ellipsis aria-hidden />
              </IconButton>
            }
            sections={[
              {
                items: [
                  ...(status === "UNCONFIRMED" && user.email
                    ? [
                        {
                          id: "confirm",
                          label: "Confirm the e-mail",
                          onAction: async () => {
                            const outcome = await confirmEmail.run({ input: { ref, id: userId, confirmEmail: true } });
                            if (outcome.error) toastFailure(outcome.error.message);
                            else done("The e-mail counts as confirmed.");
                          },
                        },
                      ]
                    : []),
                  status === "BANNED"
                    ? {
                        id: "lift",
                        label: "Lift the ban",
                        onAction: async () => {
                          const outcome = await liftBan.run({ ref, id: userId, until: null });
                          if (outcome.error) toastFailure(outcome.error.message);
                          else done("The ban is lifted.");
                        },
                      }
                    : { id: "ban", label: "Ban…", onAction: () => setDeed("ban") },
                ],
              },
              { items: [{ id: "delete", label: "Delete user…", isDanger: true, onAction: () => setDeed("delete") }] },
            ]}
          />
        </div>
        <Tabs
          label="User"
          items={[
            { id: "overview", title: "Overview", content: <Overview details={details} /> },
            {
              id: "edit",
              title: "Edit",
              content: <EditForms projectRef={ref} details={details} onChanged={readAgain} />,
            },
            {
              id: "identities",
              title: `Identities ${details.identities.length}`,
              content: <Identities details={details} />,
            },
            { id: "sessions", title: `Sessions ${details.sessions.length}`, content: <Sessions details={details} /> },
            {
              id: "factors",
              title: `Factors ${details.factors.length}`,
              content: <Factors projectRef={ref} details={details} onChanged={readAgain} />,
            },
            { id: "metadata", title: "Metadata", content: <Metadata details={details} /> },
          ]}
        />
      </div>
      {deed === "role" ? <RoleDialog {...shared} role={user.role ?? ""} knownRoles={knownRoles} /> : null}
      {deed === "ban" ? <BanDialog {...shared} /> : null}
      {deed === "sign-out" ? <SignOutDialog {...shared} sessions={details.sessions.length} /> : null}
      {deed === "delete" ? (
        <DeleteDialog
          {...shared}
          typedName={user.email ?? user.phone ?? userId}
          onDone={(text) => {
            toast(text);
            onChanged();
            onClose();
          }}
        />
      ) : null}
    </Sheet>
  );
}

function Overview({ details: { user } }: { readonly details: Details }) {
  return (
    <KeyValue
      rows={[
        ["Id", <Copyable key="id" name="id" value={user.id} />],
        ["E-mail", user.email ? <Copyable key="email" name="e-mail" value={user.email} /> : "–"],
        ["Phone", user.phone ? `+${user.phone}` : "–"],
        ["Providers", user.providers.length > 0 ? visible(user.providers.join(", ")) : "–"],
        ["Created", <Ago key="created" at={user.createdAt} />],
        ["Confirmed", <Ago key="confirmed" at={user.emailConfirmedAt ?? user.phoneConfirmedAt} never="not yet" />],
        ["Last sign-in", <Ago key="seen" at={user.lastSignInAt} />],
      ]}
    />
  );
}

function EditForms({
  projectRef,
  details: { user },
  onChanged,
}: {
  readonly projectRef: string;
  readonly details: Details;
  readonly onChanged: () => void;
}) {
  const [email, setEmail] = useState(user.email ?? "");
  const [phone, setPhone] = useState(user.phone ?? "");
  const [password, setPassword] = useState("");
  const contact = useMutation(UpdateProjectUserDocument);
  const secret = useMutation(UpdateProjectUserDocument);
  const base = { ref: projectRef, id: user.id };
  return (
    <div className={styles.editors}>
      <Form
        submitLabel="Save"
        isUnchanged={email === (user.email ?? "") && phone === (user.phone ?? "")}
        isRunning={contact.isRunning}
        error={errorBeside(contact.error, "email", "phone")}
        onSubmit={async () => {
          const { data } = await contact.run({
            input: {
              ...base,
              ...(email === (user.email ?? "") ? {} : { email }),
              ...(phone === (user.phone ?? "") ? {} : { phone: phone || null }),
            },
          });
          if (!data) return;
          toast("The user is saved.");
          onChanged();
        }}
      >
        <TextField
          label="E-mail"
          type="email"
          autoComplete="off"
          value={email}
          onChange={setEmail}
          error={fieldError(contact.error, "email")}
          help="A new address counts as confirmed."
        />
        <TextField
          label="Phone"
          autoComplete="off"
          value={phone}
          onChange={setPhone}
          error={fieldError(contact.error, "phone")}
          help="With the country’s code, such as +49 30 1234567. Counts as confirmed."
        />
      </Form>
      <Form
        submitLabel="Set password"
        isUnchanged={password === ""}
        isRunning={secret.isRunning}
        error={errorBeside(secret.error, "password")}
        onSubmit={async () => {
          const { data } = await secret.run({ input: { ...base, password } });
          if (!data) return;
          setPassword("");
          toast("The password is set; the user’s sessions have ended.");
          onChanged();
        }}
      >
        <TextField
          label="New password"
          type="password"
          autoComplete="new-password"
          value={password}
          onChange={setPassword}
          error={fieldError(secret.error, "password")}
          help="At least 6 characters. It ends all sessions of the user."
        />
      </Form>
    </div>
  );
}

function Identities({ details: { identities } }: { readonly details: Details }) {
  if (identities.length === 0) return <EmptyState title="No identities" />;
  return (
    <ul className={styles.list}>
      {identities.map(({ id, provider, email, createdAt, lastSignInAt }) => (
        <li key={id}>
          <span>
            {visible(provider)}
            <small>{email ? <Name>{email}</Name> : "no e-mail"}</small>
          </span>
          <small>
            since <Ago at={createdAt} />, last used <Ago at={lastSignInAt} />
          </small>
        </li>
      ))}
    </ul>
  );
}

function Sessions({ details: { sessions } }: { readonly details: Details }) {
  if (sessions.length === 0) return <EmptyState title="No open sessions" />;
  return (
    <ul className={styles.list}>
      {sessions.map(({ id, createdAt, refreshedAt, ip, userAgent, aal }) => (
        <li key={id}>
          <span>
            {ip ?? "unknown address"} {aal === "aal2" ? <Badge>second factor</Badge> : null}
            <small>{userAgent ? visible(userAgent) : "unknown program"}</small>
          </span>
          <small>
            since <Ago at={createdAt} />, last used <Ago at={refreshedAt ?? createdAt} />
          </small>
        </li>
      ))}
    </ul>
  );
}

function Factors({
  projectRef,
  details: { user, factors },
  onChanged,
}: {
  readonly projectRef: string;
  readonly details: Details;
  readonly onChanged: () => void;
}) {
  const [removing, setRemoving] = useState<Details["factors"][number] | null>(null);
  const remove = useMutation(DeleteProjectUserFactorDocument);
  if (factors.length === 0) return <EmptyState title="No second factors" />;
  return (
    <>
      <ul className={styles.list}>
        {factors.map((factor) => (
          <li key={factor.id}>
            <span>
              {factor.type} <Badge tone={factor.status === "verified" ? "success" : "neutral"}>{factor.status}</Badge>
              <small>{factor.name ? <Name>{factor.name}</Name> : "no name"}</small>
            </span>
            <Button size="small" onPress={() => setRemoving(factor)}>
              Remove
            </Button>
          </li>
        ))}
      </ul>
      <ConfirmDialog
        title="Remove this factor?"
        isOpen={removing !== null}
        onClose={() => setRemoving(null)}
        confirmLabel="Remove factor"
        isRunning={remove.isRunning}
        error={remove.error}
        onConfirm={async () => {
          const { error } = await remove.run({ ref: projectRef, id: user.id, factorId: removing?.id ?? "" });
          if (error) return;
          setRemoving(null);
          onChanged();
        }}
      >
        <p>The user signs in without it from now on, until a new one is enrolled. Sessions that it has raised end.</p>
      </ConfirmDialog>
    </>
  );
}

function Metadata({ details }: { readonly details: Details }) {
  const shown = (label: string, value: unknown, bytes: number) => (
    <div>
      <h3>{label}</h3>
      {value === null && bytes > 4 ? (
        <p>It is {formatBytes(bytes)} large and not shown here. Read it by SQL.</p>
      ) : (
        <JsonView label={label} value={value ?? {}} />
      )}
    </div>
  );
  return (
    <div className={styles.panel}>
      {shown("app_metadata", details.appMetadata ?? null, details.appMetadataBytes)}
      {shown("user_metadata", details.userMetadata ?? null, details.userMetadataBytes)}
    </div>
  );
}

interface DeedProps {
  readonly projectRef: string;
  readonly userId: string;
  readonly title: string;
  readonly onClose: () => void;
  readonly onDone: (text: string) => void;
}

function RoleDialog({
  projectRef,
  userId,
  title,
  onClose,
  onDone,
  role,
  knownRoles,
}: DeedProps & { readonly role: string; readonly knownRoles: readonly string[] }) {
  const [value, setValue] = useState(role);
  const set = useMutation(SetProjectUserRoleDocument);
  const submit = async () => {
    const { error } = await set.run({ ref: projectRef, id: userId, role: value.trim() || null });
    if (!error) onDone(value.trim() ? `${title} has the role ${value.trim()}.` : `${title} has no role any more.`);
  };
  return (
    <Dialog
      title={`Role of ${title}`}
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={set.isRunning}>
            Set role
          </Button>
        </>
      }
    >
      <RoleField value={value} onChange={setValue} knownRoles={knownRoles} error={fieldError(set.error, "role")} />
      <p>It shows in the user’s tokens from the next refresh on.</p>
      <InlineError error={errorBeside(set.error, "role")} />
    </Dialog>
  );
}

function BanDialog({ projectRef, userId, title, onClose, onDone }: DeedProps) {
  const [hours, setHours] = useState<(typeof BANS)[number]["value"]>("168");
  const ban = useMutation(SetProjectUserBanDocument);
  const submit = async () => {
    const until = new Date(Date.now() + Number(hours) * HOUR_MS).toISOString();
    const { error } = await ban.run({ ref: projectRef, id: userId, until });
    if (!error) onDone(`${title} is banned.`);
  };
  return (
    <Dialog
      title={`Ban ${title}`}
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="danger" type="submit" isPending={ban.isRunning}>
            Ban user
          </Button>
        </>
      }
    >
      <Select label="For how long" value={hours} onChange={setHours} choices={BANS} />
      <p>A banned user can neither sign in nor refresh. An access token that is out lives to its end.</p>
      <InlineError error={ban.error} />
    </Dialog>
  );
}

function SignOutDialog({
  projectRef,
  userId,
  title,
  onClose,
  onDone,
  sessions,
}: DeedProps & { readonly sessions: number }) {
  const signOut = useMutation(SignOutProjectUserDocument);
  return (
    <ConfirmDialog
      title={`Sign ${title} out everywhere?`}
      isOpen
      onClose={onClose}
      confirmLabel="Sign out everywhere"
      isRunning={signOut.isRunning}
      error={signOut.error}
      onConfirm={async () => {
        const { data } = await signOut.run({ ref: projectRef, id: userId });
        if (data) onDone(`${plural(data.signOutProjectUser, "session")} ended.`);
      }}
    >
      <p>
        {plural(sessions, "open session")} end. An access token that is out lives to its end, by default an hour at
        most.
      </p>
    </ConfirmDialog>
  );
}

function DeleteDialog({
  projectRef,
  userId,
  title,
  typedName,
  onClose,
  onDone,
}: DeedProps & { readonly typedName: string }) {
  const remove = useMutation(DeleteProjectUserDocument);
  return (
    <ConfirmDialog
      title={`Delete ${title}?`}
      isOpen
      onClose={onClose}
      typedName={typedName}
      confirmLabel="Delete user"
      isRunning={remove.isRunning}
      error={remove.error}
      onConfirm={async () => {
        const { error } = await remove.run({ ref: projectRef, id: userId });
        if (!error) onDone(`${title} is deleted.`);
      }}
    >
      <p>
        The user goes with identities, sessions and factors, and with every row of yours that refers to the user by{" "}
        <code>on delete cascade</code>.
      </p>
    </ConfirmDialog>
  );
}
