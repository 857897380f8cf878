/** Values to take along, and secrets: eight dots until somebody asks, and again after half a minute. */
import { Check, Copy } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import type { Outcome } from "../graphql/hooks.ts";
import { Button, IconButton } from "./button.tsx";
import styles from "./copy.module.css";
import { cx } from "./cx.ts";
import { toastFailure } from "./toast.tsx";

const SHOWN_MS = 30_000;
const MARKED_MS = 1_500;

/** Without https browsers give pages no clipboard: then a selected field is copied the old way. */
export async function copyText(text: string): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // not focused, or not allowed: the other way may work
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  // Within a dialog the focus is kept inside; the field must be there as well.
  (document.activeElement?.closest("[role=dialog], [role=alertdialog]") ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (!isCopied) toastFailure("The browser did not let this be copied. Select it and copy it by keyboard.");
  return isCopied;
}

export function CopyButton({
  text,
  label,
}: {
  readonly text: string | (() => Promise<string | null>);
  readonly label: string;
}) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setCopied(false), MARKED_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <IconButton
      label={isCopied ? "Copied" : label}
      onPress={async () => {
        const value = typeof text === "string" ? text : await text();
        if (value !== null) setCopied(await copyText(value));
      }}
    >
      {isCopied ? <Check aria-hidden color="var(--success)" /> : <Copy aria-hidden />}
    </IconButton>
  );
}

/** A value in one line with a way to copy it. */
export function Copyable({ value, name }: { readonly value: string; readonly name: string }) {
  return (
    <span className={styles.row}>
      <span className={styles.value} title={value}>
        {value}
      </span>
      <CopyButton text={value} label={`Copy ${name}`} />
    </span>
  );
}

/** The same with its label above and the whole value to be read. */
export function CopyField({ label, value }: { readonly label: string; readonly value: string }) {
  return (
    <div className={styles.field}>
      <span className={styles.label}>{label}</span>
      <span className={cx(styles.row, styles.framed)}>
        <span className={styles.value}>{value}</span>
        <CopyButton text={value} label={`Copy ${label}`} />
      </span>
    </div>
  );
}

export interface SecretFieldProps {
  /** "service_role key": for the names of the buttons. */
  readonly name: string;
  /** Asks the server, which notes it. */
  readonly reveal: () => Promise<Outcome<string>>;
  /** Why it cannot be shown; the buttons are not there then. */
  readonly hiddenBecause?: string | undefined;
  readonly prefix?: ReactNode;
}

/** Copying never renders the value; showing does, until half a minute has passed or the focus leaves. */
export function SecretField({ name, reveal, hiddenBecause, prefix }: SecretFieldProps) {
  const [value, setValue] = useState<string | null>(null);
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (value === null) return;
    const timer = setTimeout(() => setValue(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [value]);

  const ask = async (): Promise<string | null> => {
    const outcome = await reveal();
    if (outcome.error) toastFailure(`The ${name} was not revealed. ${outcome.error.message}`);
    return outcome.data;
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears of the focus leaving, which no role describes
    <span
      ref={place}
      className={styles.row}
      onBlur={(event) => {
        if (!place.current?.contains(event.relatedTarget)) setValue(null);
      }}
    >
      {value === null ? (
        <span className={cx(styles.value, styles.dots)}>
          {prefix}
          <span aria-hidden>••••••••</span>
          <span className="visually-hidden">hidden</span>
        </span>
      ) : (
        <span className={styles.value} title={value}>
          {value}
        </span>
      )}
      {hiddenBecause ? null : (
        <>
          <Button
            variant="ghost"
            size="small"
            aria-label={value === null ? `Reveal ${name}` : `Hide ${name}`}
            onPress={async () => setValue(value === null ? await ask() : null)}
          >
            {value === null ? "Reveal" : "Hide"}
          </Button>
          <CopyButton text={value ?? ask} label={`Copy ${name}`} />
        </>
      )}
    </span>
  );
}
