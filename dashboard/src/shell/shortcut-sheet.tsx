/** All shortcuts, by where they act. */
import { Dialog } from "../ui/dialog.tsx";
import styles from "./palette.module.css";
import { keysLabel, SHORTCUTS, type Shortcut } from "./shortcuts.ts";

const SCOPES: Readonly<Record<Shortcut["scope"], string>> = {
  anywhere: "Anywhere",
  project: "In a project",
  list: "In lists",
  users: "Users",
  tables: "Tables",
  sql: "SQL",
};

export default function ShortcutSheet({ onClose }: { readonly onClose: () => void }) {
  const groups = [...Map.groupBy(Object.values(SHORTCUTS), ({ scope }) => scope)];
  return (
    <Dialog title="Keyboard shortcuts" isOpen onClose={onClose}>
      <p>Letters do not act while you type. Single keys can be switched off in the preferences.</p>
      {groups.map(([scope, shortcuts]) => (
        <div key={scope}>
          <h3>{SCOPES[scope]}</h3>
          <dl className={styles.keys}>
            {shortcuts.map(({ label, keys }) => (
              <div key={keys}>
                <dt>{label}</dt>
                <dd>
                  <kbd>{keysLabel(keys)}</kbd>
                </dd>
              </div>
            ))}
          </dl>
        </div>
      ))}
    </Dialog>
  );
}
