/** A form on a page: fields below each other, and at its foot the deed and what the server said. */
import type { ReactNode } from "react";
import type { AppError } from "../graphql/errors.ts";
import { Button } from "./button.tsx";
import { SubmitForm } from "./dialog.tsx";
import styles from "./form.module.css";
import { InlineError } from "./state.tsx";

export function Form({
  children,
  submitLabel,
  onSubmit,
  isRunning,
  isUnchanged = false,
  error,
}: {
  readonly children: ReactNode;
  readonly submitLabel: string;
  readonly onSubmit: () => void;
  readonly isRunning: boolean;
  /** There is nothing to save. */
  readonly isUnchanged?: boolean;
  /** What belongs to no field. */
  readonly error: AppError | null;
}) {
  return (
    <SubmitForm className={styles.form} onSubmit={() => !isUnchanged && !isRunning && onSubmit()}>
      {children}
      <InlineError error={error} />
      <div className={styles.actions}>
        <Button variant="primary" type="submit" isDisabled={isUnchanged} isPending={isRunning}>
          {submitLabel}
        </Button>
      </div>
    </SubmitForm>
  );
}

export function Stack({ children }: { readonly children: ReactNode }) {
  return <div className={styles.stack}>{children}</div>;
}
