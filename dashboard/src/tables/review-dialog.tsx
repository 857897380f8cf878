/** All edits before they are saved: old and new, the SQL, and what stopped a save. */
import type { AppError } from "../graphql/errors.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { plural, visible } from "../ui/format.ts";
import { CodeView } from "../ui/parts.tsx";
import { Banner, InlineError } from "../ui/state.tsx";
import { countStaged, type Staged, toInput, toSql, type Values } from "./staged.ts";
import styles from "./tables.module.css";

export function ReviewDialog({
  schema,
  relation,
  staged,
  who,
  error,
  isRunning,
  onClose,
  onSave,
}: {
  readonly schema: string;
  readonly relation: string;
  readonly staged: Staged;
  readonly who: string;
  readonly error: AppError | null;
  readonly isRunning: boolean;
  readonly onClose: () => void;
  readonly onSave: () => void;
}) {
  const { inserts, updates, deletes } = toInput(staged);
  const total = countStaged(staged);
  const present = error?.code === "CONFLICT" ? (error.details.present as Values | null | undefined) : undefined;
  return (
    <Dialog
      title={`Review ${plural(total, "change")}`}
      isOpen
      isWide
      onClose={onClose}
      onSubmit={onSave}
      actions={
        <>
          <Button autoFocus={deletes.length > 0} onPress={onClose}>
            Go on editing
          </Button>
          <Button
            variant={deletes.length > 0 ? "danger" : "primary"}
            type="submit"
            isPending={isRunning}
            autoFocus={deletes.length === 0}
          >
            Save {plural(total, "change")} as {who}
          </Button>
        </>
      }
    >
      {error ? (
        present ? (
          <Banner tone="danger">
            {error.message} It holds now:{" "}
            {Object.entries(present).map(([column, value]) => (
              <span key={column}>
                <bdi>{visible(column)}</bdi> = <Shown value={value} />;{" "}
              </span>
            ))}
          </Banner>
        ) : (
          <InlineError error={error} />
        )
      ) : null}
      <ul className={styles.changes}>
        {deletes.map((key) => (
          <li key={JSON.stringify(key)}>
            <del>Delete</del> <Pairs values={key} />
          </li>
        ))}
        {updates.map((update) => (
          <li key={JSON.stringify(update.key)}>
            Update <Pairs values={update.key} />:{" "}
            {Object.keys(update.new).map((column) => (
              <span key={column}>
                <bdi>{visible(column)}</bdi>{" "}
                <del>
                  <Shown value={update.old[column] ?? null} />
                </del>{" "}
                →{" "}
                <ins>
                  <Shown value={update.new[column] ?? null} />
                </ins>{" "}
              </span>
            ))}
          </li>
        ))}
        {inserts.map((values, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: new rows have no other identity
          <li key={index}>
            <ins>Insert</ins> <Pairs values={values} />
          </li>
        ))}
      </ul>
      <CodeView label="SQL of the changes" code={toSql(schema, relation, staged).slice(0, 20_000)} />
    </Dialog>
  );
}

function Pairs({ values }: { readonly values: Values }) {
  return Object.entries(values).map(([column, value]) => (
    <span key={column}>
      <bdi>{visible(column)}</bdi> = <Shown value={value} />{" "}
    </span>
  ));
}

function Shown({ value }: { readonly value: string | null }) {
  if (value === null) return <span className={styles.mark}>NULL</span>;
  if (value === "") return <span className={styles.mark}>empty</span>;
  return <bdi>{visible(value.slice(0, 200))}</bdi>;
}
