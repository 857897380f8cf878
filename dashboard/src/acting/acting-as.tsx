/** The one control that says through whose eyes a page shows the data. */
import { Eye } from "lucide-react";
import { useState } from "react";
import { useQuery } from "../graphql/hooks.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { DelayedSearchField } from "../ui/field.tsx";
import { visible } from "../ui/format.ts";
import { Menu } from "../ui/menu.tsx";
import { InlineError } from "../ui/state.tsx";
import styles from "./acting.module.css";
import { FindActingUsersDocument } from "./generated/operations.ts";
import { identityName } from "./identity.ts";

export function ActingAs({
  projectRef,
  value,
  onChange,
}: {
  readonly projectRef: string;
  readonly value: string | undefined;
  readonly onChange: (as: string | undefined) => void;
}) {
  const [isChoosing, setChoosing] = useState(false);
  return (
    <>
      <Menu
        label="Acts as"
        trigger={
          <Button className={value ? (styles.active ?? "") : ""}>
            <Eye aria-hidden /> as {identityName(value)}
          </Button>
        }
        sections={[
          {
            items: [
              { id: "owner", label: "owner", help: "The project’s database user", onAction: () => onChange(undefined) },
              {
                id: "service_role",
                label: "service_role",
                help: "Passes row-level security",
                onAction: () => onChange("service_role"),
              },
              { id: "anon", label: "anon", help: "Nobody signed in", onAction: () => onChange("anon") },
              {
                id: "authenticated",
                label: "authenticated",
                help: "Signed in, without a user",
                onAction: () => onChange("authenticated"),
              },
              { id: "user", label: "A user of the project…", onAction: () => setChoosing(true) },
            ],
          },
        ]}
      />
      {isChoosing ? (
        <ChooseUser
          projectRef={projectRef}
          onClose={() => setChoosing(false)}
          onChoose={(id) => {
            setChoosing(false);
            onChange(`user:${id}`);
          }}
        />
      ) : null}
    </>
  );
}

function ChooseUser({
  projectRef,
  onClose,
  onChoose,
}: {
  readonly projectRef: string;
  readonly onClose: () => void;
  readonly onChoose: (id: string) => void;
}) {
  const [search, setSearch] = useState("");
  const { data, error } = useQuery(FindActingUsersDocument, { ref: projectRef, search: search || null });
  const users = data?.project.users.edges.map(({ node }) => node) ?? [];
  return (
    <Dialog title="Act as a user" isOpen onClose={onClose}>
      <DelayedSearchField label="Part of e-mail, phone, or an id" value={search} onChange={setSearch} />
      <InlineError error={error} />
      <ul className={styles.users}>
        {users.map(({ id, email, phone }) => (
          <li key={id}>
            <Button variant="ghost" onPress={() => onChoose(id)}>
              <bdi>{visible(email ?? phone ?? id)}</bdi>
            </Button>
          </li>
        ))}
      </ul>
      {data && users.length === 0 ? <p>No user matches.</p> : null}
    </Dialog>
  );
}
