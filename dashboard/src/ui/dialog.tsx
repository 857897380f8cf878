/** What lies over the page: dialogs, confirmations, values that are shown once, panels at the side. */
import { X } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { Dialog as AriaDialog } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal, ModalOverlay } from "react-aria-components/Modal";
import type { AppError } from "../graphql/errors.ts";
import { Button, IconButton } from "./button.tsx";
import { CopyField } from "./copy.tsx";
import { cx } from "./cx.ts";
import { Checkbox, TextField } from "./field.tsx";
import styles from "./overlay.module.css";
import { InlineError } from "./state.tsx";

export interface DialogProps {
  readonly title: ReactNode;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
  /** Buttons at the foot. */
  readonly actions?: ReactNode;
  /** With it the dialog is a form: Enter and Mod+Enter submit. */
  readonly onSubmit?: () => void;
  readonly isWide?: boolean;
  /** Neither Escape nor a click outside closes it. */
  readonly isHeld?: boolean;
  readonly role?: "dialog" | "alertdialog";
}

export function Dialog({ title, isOpen, onClose, children, actions, onSubmit, isWide, isHeld, role }: DialogProps) {
  const content = (
    <>
      <div className={styles.body}>{children}</div>
      {actions ? <div className={styles.foot}>{actions}</div> : null}
    </>
  );
  return (
    <ModalOverlay
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable={!isHeld && !onSubmit}
      isKeyboardDismissDisabled={isHeld ?? false}
      className={styles.backdrop ?? ""}
    >
      <Modal className={cx(styles.modal, isWide && styles.wide)}>
        <AriaDialog role={role ?? "dialog"} className={styles.dialog ?? ""}>
          <div className={styles.head}>
            <Heading slot="title" className={styles.title ?? ""}>
              {title}
            </Heading>
            {isHeld ? null : (
              <IconButton label="Close" onPress={onClose}>
                <X aria-hidden />
              </IconButton>
            )}
          </div>
          {onSubmit ? (
            <SubmitForm className={styles.dialog} onSubmit={onSubmit}>
              {content}
            </SubmitForm>
          ) : (
            content
          )}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

/** A form whose Enter and Mod+Enter submit, and that never leaves the page. */
export function SubmitForm({
  onSubmit,
  className,
  children,
}: {
  readonly onSubmit: () => void;
  readonly className?: string | undefined;
  readonly children: ReactNode;
}) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <form
      noValidate
      className={className}
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) submit(event);
      }}
    >
      {children}
    </form>
  );
}

export interface ConfirmDialogProps {
  readonly title: ReactNode;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  /** What it breaks, in sentences. */
  readonly children: ReactNode;
  /** The deed itself: "Revoke key". */
  readonly confirmLabel: string;
  readonly onConfirm: () => void;
  readonly isRunning?: boolean;
  readonly isDanger?: boolean;
  readonly error?: AppError | null;
  /** Must be typed first, where data would be lost. */
  readonly typedName?: string;
}

/** The focus is on Cancel, or in the field where the name is typed: nobody confirms by a stray Enter. */
export function ConfirmDialog({
  title,
  isOpen,
  onClose,
  children,
  confirmLabel,
  onConfirm,
  isRunning = false,
  isDanger = true,
  error = null,
  typedName,
}: ConfirmDialogProps) {
  const [typed, setTyped] = useState("");
  const isConfirmed = typedName === undefined || typed === typedName;
  const close = () => {
    setTyped("");
    onClose();
  };
  return (
    <Dialog
      role="alertdialog"
      title={title}
      isOpen={isOpen}
      onClose={close}
      onSubmit={() => {
        if (isConfirmed && typedName !== undefined && !isRunning) onConfirm();
      }}
      actions={
        <>
          <Button autoFocus={typedName === undefined} onPress={close}>
            Cancel
          </Button>
          <Button
            variant={isDanger ? "danger" : "primary"}
            isDisabled={!isConfirmed}
            isPending={isRunning}
            onPress={onConfirm}
          >
            {confirmLabel}
          </Button>
        </>
      }
    >
      {children}
      {typedName !== undefined ? (
        <TextField
          label={`Type “${typedName}” to confirm`}
          value={typed}
          onChange={setTyped}
          autoComplete="off"
          autoFocus
          mono
        />
      ) : null}
      <InlineError error={error} />
    </Dialog>
  );
}

/** A value that nobody can show again: the dialog stays until it is said to be stored. */
export function OnceDialog({
  title,
  values,
  note,
  onClose,
}: {
  readonly title: string;
  /** Label and value. */
  readonly values: readonly (readonly [string, string])[];
  readonly note: ReactNode;
  readonly onClose: () => void;
}) {
  const [isStored, setStored] = useState(false);
  return (
    <Dialog
      title={title}
      isOpen
      isHeld
      onClose={onClose}
      actions={
        <Button variant="primary" isDisabled={!isStored} onPress={onClose}>
          Close
        </Button>
      }
    >
      <p>{note}</p>
      {values.map(([label, value]) => (
        <CopyField key={label} label={label} value={value} />
      ))}
      <Checkbox label="I have stored it" isSelected={isStored} onChange={setStored} />
    </Dialog>
  );
}

/** A panel at the side of the page; on small screens it fills them. */
export function Sheet({
  title,
  isOpen,
  onClose,
  children,
  actions,
  side = "right",
}: {
  readonly title: ReactNode;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly actions?: ReactNode;
  readonly side?: "left" | "right";
}) {
  return (
    <ModalOverlay
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable
      className={cx(styles.sheetBackdrop, side === "left" && styles.left)}
    >
      <Modal className={styles.sheet ?? ""}>
        <AriaDialog className={styles.dialog ?? ""}>
          <div className={styles.head}>
            <Heading slot="title" className={styles.title ?? ""}>
              {title}
            </Heading>
            <IconButton label="Close" onPress={onClose}>
              <X aria-hidden />
            </IconButton>
          </div>
          <div className={styles.body}>{children}</div>
          {actions ? <div className={styles.foot}>{actions}</div> : null}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}
