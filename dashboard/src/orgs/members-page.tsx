/** Who belongs to an organization and in which role, and who is invited. An invitation's link is shown once. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { UserPlus } from "lucide-react";
import { useState } from "react";
import { type AppError, errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page, Section, Toolbar } from "../shell/page.tsx";
import { ROLE_NAMES, type Role, roleAllows, useViewer } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { DataList, type PagePlace, Pager, pageArguments } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog, OnceDialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { plural } from "../ui/format.ts";
import { Ago, Name } from "../ui/parts.tsx";
import { Badge, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import {
  AddMemberDocument,
  ChangeMemberRoleDocument,
  OrganizationInvitationsDocument,
  OrganizationMembersDocument,
  type OrganizationMembersQuery,
  RemoveMemberDocument,
  RevokeInvitationDocument,
} from "./generated/operations.ts";
import { WithOrganization } from "./organization.tsx";

const PAGE_SIZE = 50;
type Member = OrganizationMembersQuery["organization"]["members"]["edges"][number]["node"];

const ROLE_HELP: Readonly<Record<Role, string>> = {
  VIEWER: "Sees names, states, health and usage. No keys, no data.",
  DEVELOPER: "Runs SQL, reads public keys and settings, manages users of projects.",
  ADMIN: "Creates and deletes projects, reveals secrets, manages members.",
  OWNER: "Everything, including owners and the organization itself.",
};

export function MembersPage() {
  return <WithOrganization>{({ id }) => <Members key={id} organizationId={id} />}</WithOrganization>;
}

function Members({ organizationId }: { readonly organizationId: string }) {
  const place = useSearch({ strict: false }) as PagePlace;
  const navigate = useNavigate();
  const { id: viewerId } = useViewer();
  const { data, error, refetch } = useQuery(OrganizationMembersDocument, {
    id: organizationId,
    ...pageArguments(place, PAGE_SIZE),
  });
  const [isInviting, setInviting] = useState(false);
  const [link, setLink] = useState<string | null>(null);
  const [removing, setRemoving] = useState<Member | null>(null);
  const changeRole = useMutation(ChangeMemberRoleDocument);
  const remove = useMutation(RemoveMemberDocument);
  const invitations = useQuery(
    OrganizationInvitationsDocument,
    { id: organizationId },
    { pause: !data || !roleAllows(data.organization.viewerRole, "ADMIN") },
  );
  if (!data) {
    return (
      <Page title="Members" documentTitle="Members">
        {error ? <ErrorState error={error} onRetry={refetch} what="organization" /> : <Loading what="the members" />}
      </Page>
    );
  }
  const { name, viewerRole, members } = data.organization;
  const mayManage = roleAllows(viewerRole, "ADMIN");
  const mayGive = (role: Role) => role !== "OWNER" || viewerRole === "OWNER";
  const readAgain = () => {
    refetch();
    invitations.refetch();
  };
  return (
    <Page
      title="Members"
      documentTitle={`Members of ${name}`}
      lead={`${plural(members.totalCount, "member")} of ${name}`}
      actions={
        mayManage ? (
          <Button variant="primary" onPress={() => setInviting(true)}>
            <UserPlus aria-hidden /> Invite
          </Button>
        ) : null
      }
    >
      {members.pageInfo.hasNextPage || members.pageInfo.hasPreviousPage ? (
        <Toolbar>
          <Pager pageInfo={members.pageInfo} onMove={(to) => void navigate({ to: ".", search: to as never })} />
        </Toolbar>
      ) : null}
      <DataList
        label="Members"
        items={members.edges.map(({ node }) => node)}
        keyOf={({ accountId }) => accountId}
        columns={[
          {
            id: "email",
            title: "E-mail",
            place: "primary",
            cell: ({ email, accountId }) => (
              <>
                <Name>{email}</Name> {accountId === viewerId ? <Badge>you</Badge> : null}
              </>
            ),
          },
          {
            id: "name",
            title: "Name",
            isQuiet: true,
            cell: (member) => (member.name ? <Name>{member.name}</Name> : "–"),
          },
          {
            id: "role",
            title: "Role",
            cell: ({ accountId, email, role }) =>
              mayManage && mayGive(role) ? (
                <Select<Role>
                  label={`Role of ${email}`}
                  isCompact
                  value={role}
                  onChange={async (next) => {
                    const outcome = await changeRole.run({ organizationId, accountId, role: next });
                    if (outcome.error) toastFailure(outcome.error.message);
                    else toast(`${email} is ${ROLE_NAMES[next].toLowerCase()} now.`);
                    refetch();
                  }}
                  choices={roleChoices(mayGive)}
                />
              ) : (
                <Badge>{ROLE_NAMES[role]}</Badge>
              ),
          },
          { id: "since", title: "Since", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
          {
            id: "remove",
            title: "Actions",
            isTitleHidden: true,
            isNarrow: true,
            place: "corner",
            cell: (member) =>
              (mayManage && mayGive(member.role)) || member.accountId === viewerId ? (
                <Button
                  size="small"
                  aria-label={member.accountId === viewerId ? "Leave the organization" : `Remove ${member.email}`}
                  onPress={() => setRemoving(member)}
                >
                  {member.accountId === viewerId ? "Leave" : "Remove"}
                </Button>
              ) : null,
          },
        ]}
      />
      {invitations.data && invitations.data.organization.invitations.length > 0 ? (
        <Section title="Invitations" lead="Open until they are accepted, revoked or run out.">
          <Invitations
            organizationId={organizationId}
            invitations={invitations.data.organization.invitations}
            onChanged={invitations.refetch}
          />
        </Section>
      ) : null}
      {isInviting ? (
        <InviteDialog
          organizationId={organizationId}
          mayGive={mayGive}
          onClose={() => setInviting(false)}
          onDone={(token) => {
            setInviting(false);
            readAgain();
            if (token) setLink(`${location.origin}/join#${token}`);
            else toast("The member is added.");
          }}
        />
      ) : null}
      {link === null ? null : (
        <OnceDialog
          title="The invitation’s link"
          note="Hand it to the person who is invited; it works for that e-mail address alone. It is shown only now. Inviting again makes a new one."
          values={[["Link", link]]}
          onClose={() => setLink(null)}
        />
      )}
      {removing ? (
        <RemoveDialog
          member={removing}
          organizationName={name}
          isSelf={removing.accountId === viewerId}
          isRunning={remove.isRunning}
          error={remove.error}
          onClose={() => {
            remove.forgetError();
            setRemoving(null);
          }}
          onConfirm={async () => {
            const outcome = await remove.run({ organizationId, accountId: removing.accountId });
            if (outcome.error) return;
            if (removing.accountId === viewerId) return location.assign("/projects");
            setRemoving(null);
            refetch();
          }}
        />
      ) : null}
    </Page>
  );
}

function roleChoices(mayGive: (role: Role) => boolean) {
  return (Object.keys(ROLE_NAMES) as Role[])
    .filter(mayGive)
    .map((role) => ({ value: role, label: ROLE_NAMES[role], help: ROLE_HELP[role] }));
}

function RemoveDialog({
  member,
  organizationName,
  isSelf,
  ...dialog
}: {
  readonly member: Member;
  readonly organizationName: string;
  readonly isSelf: boolean;
  readonly isRunning: boolean;
  readonly error: AppError | null;
  readonly onClose: () => void;
  readonly onConfirm: () => void;
}) {
  return (
    <ConfirmDialog
      {...dialog}
      isOpen
      title={isSelf ? `Leave ${organizationName}?` : `Remove ${member.email}?`}
      confirmLabel={isSelf ? "Leave" : "Remove member"}
    >
      <p>
        {isSelf
          ? "You no longer see its projects, at once. Only an admin can let you in again."
          : `${member.email} no longer sees the projects of ${organizationName}; what is open there ends at once.`}
      </p>
    </ConfirmDialog>
  );
}

function InviteDialog({
  organizationId,
  mayGive,
  onClose,
  onDone,
}: {
  readonly organizationId: string;
  readonly mayGive: (role: Role) => boolean;
  readonly onClose: () => void;
  /** With the invitation's token, unless the person is a member at once. */
  readonly onDone: (token: string | null) => void;
}) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("DEVELOPER");
  const add = useMutation(AddMemberDocument);
  const submit = async () => {
    const { data } = await add.run({ organizationId, email, role });
    if (data) onDone(data.addMember.invitationToken ?? null);
  };
  return (
    <Dialog
      title="Invite a person"
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={add.isRunning}>
            Invite
          </Button>
        </>
      }
    >
      <TextField
        label="E-mail"
        type="email"
        autoComplete="off"
        autoFocus
        value={email}
        onChange={setEmail}
        error={fieldError(add.error, "email")}
      />
      <Select<Role>
        label="Role"
        value={role}
        onChange={setRole}
        choices={roleChoices(mayGive)}
        help={ROLE_HELP[role]}
      />
      <InlineError error={errorBeside(add.error, "email")} />
    </Dialog>
  );
}

function Invitations({
  organizationId,
  invitations,
  onChanged,
}: {
  readonly organizationId: string;
  readonly invitations: readonly { id: string; email: string; role: Role; createdAt: string; expiresAt: string }[];
  readonly onChanged: () => void;
}) {
  const revoke = useMutation(RevokeInvitationDocument);
  return (
    <DataList
      label="Invitations"
      items={invitations}
      keyOf={({ id }) => id}
      columns={[
        { id: "email", title: "E-mail", place: "primary", cell: ({ email }) => <Name>{email}</Name> },
        { id: "role", title: "Role", cell: ({ role }) => <Badge>{ROLE_NAMES[role]}</Badge> },
        { id: "made", title: "Made", isQuiet: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
        { id: "expires", title: "Runs out", isQuiet: true, cell: ({ expiresAt }) => <Ago at={expiresAt} /> },
        {
          id: "revoke",
          title: "Actions",
          isTitleHidden: true,
          isNarrow: true,
          place: "corner",
          cell: ({ id, email }) => (
            <Button
              size="small"
              aria-label={`Revoke the invitation of ${email}`}
              onPress={async () => {
                const outcome = await revoke.run({ organizationId, id });
                if (outcome.error) toastFailure(outcome.error.message);
                onChanged();
              }}
            >
              Revoke
            </Button>
          ),
        },
      ]}
    />
  );
}
