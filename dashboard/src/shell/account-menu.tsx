/** The viewer's own corner: account, theme, what belongs to the installation, signing out. */
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { SignOutDocument } from "../account/generated/operations.ts";
import { useMutation } from "../graphql/hooks.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Checkbox } from "../ui/field.tsx";
import { plural } from "../ui/format.ts";
import { Menu } from "../ui/menu.tsx";
import { toastFailure } from "../ui/toast.tsx";
import { clearDrafts, countDrafts } from "./drafts.ts";
import styles from "./shell.module.css";
import { keysLabel, SHORTCUTS } from "./shortcuts.ts";
import { type Theme, useTheme } from "./theme.ts";
import { useViewer } from "./viewer.ts";

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "Theme of the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function AccountMenu({ onShortcuts }: { readonly onShortcuts: () => void }) {
  const viewer = useViewer();
  const navigate = useNavigate();
  const [theme, setTheme] = useTheme();
  const [drafts, setDrafts] = useState<number | null>(null);
  const signOut = useMutation(SignOutDocument);

  const leave = async (clear: boolean) => {
    const { error } = await signOut.run({});
    if (error && error.code !== "UNAUTHENTICATED") return toastFailure(`You are still signed in. ${error.message}`);
    if (clear) await clearDrafts(viewer.id);
    location.assign("/sign-in"); // a new page: nothing of the account stays in memory
  };
  const askToLeave = async () => {
    const count = await countDrafts(viewer.id);
    if (count === 0) await leave(false);
    else setDrafts(count);
  };

  return (
    <>
      <Menu
        label="Account"
        trigger={
          <IconButton label={`Account of ${viewer.email}`}>
            <span className={styles.avatar}>{(viewer.name || viewer.email).charAt(0).toUpperCase()}</span>
          </IconButton>
        }
        sections={[
          {
            heading: viewer.email,
            items: [
              { id: "profile", label: "Profile", onAction: () => void navigate({ to: "/account/profile" }) },
              { id: "tokens", label: "Access tokens", onAction: () => void navigate({ to: "/account/tokens" }) },
              {
                id: "preferences",
                label: "Preferences",
                onAction: () => void navigate({ to: "/account/preferences" }),
              },
              ...(viewer.isInstanceOwner
                ? [
                    {
                      id: "instance",
                      label: "Installation",
                      onAction: () => void navigate({ to: "/instance/clusters" }),
                    },
                  ]
                : []),
              {
                id: "shortcuts",
                label: "Keyboard shortcuts",
                keys: keysLabel(SHORTCUTS.help.keys),
                onAction: onShortcuts,
              },
            ],
          },
          {
            heading: "Theme",
            items: THEMES.map(([value, label]) => ({
              id: value,
              label: theme === value ? `${label} ✓` : label,
              textValue: label,
              onAction: () => setTheme(value),
            })),
          },
          { items: [{ id: "sign-out", label: "Sign out", onAction: () => void askToLeave() }] },
        ]}
      />
      {drafts === null ? null : <SignOutDialog drafts={drafts} onClose={() => setDrafts(null)} onLeave={leave} />}
    </>
  );
}

function SignOutDialog({
  drafts,
  onClose,
  onLeave,
}: {
  readonly drafts: number;
  readonly onClose: () => void;
  readonly onLeave: (clear: boolean) => Promise<unknown>;
}) {
  const [clear, setClear] = useState(false);
  return (
    <Dialog
      title="Sign out"
      isOpen
      onClose={onClose}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" onPress={() => void onLeave(clear)}>
            Sign out
          </Button>
        </>
      }
    >
      <p>
        This device keeps {plural(drafts, "draft")} of your queries and edits. They are yours again at the next sign-in.
      </p>
      <Checkbox label="Remove them from this device" isSelected={clear} onChange={setClear} />
    </Dialog>
  );
}
