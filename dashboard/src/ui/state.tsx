/** How things stand, and what is shown while there is nothing else to show: loading, empty, failed, forbidden. */
import { Circle, CircleAlert, Info, LoaderCircle, Pause, Triangle, TriangleAlert } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import type { AppError } from "../graphql/errors.ts";
import { Button } from "./button.tsx";
import { copyText } from "./copy.tsx";
import { cx } from "./cx.ts";
import { plural } from "./format.ts";
import styles from "./state.module.css";

export type Tone = "neutral" | "accent" | "success" | "warning" | "danger" | "info";

export function Badge({ tone = "neutral", children }: { readonly tone?: Tone; readonly children: ReactNode }) {
  return <span className={cx(styles.badge, tone !== "neutral" && styles[tone])}>{children}</span>;
}

export type DotTone = "good" | "busy" | "paused" | "bad" | "unknown";

const DOTS = {
  good: { className: "toneGood", shape: <Circle aria-hidden fill="currentColor" /> },
  busy: { className: "toneBusy", shape: <LoaderCircle aria-hidden strokeWidth={3.5} /> },
  paused: { className: "toneIdle", shape: <Pause aria-hidden fill="currentColor" /> },
  bad: { className: "toneBad", shape: <Triangle aria-hidden fill="currentColor" /> },
  unknown: { className: "toneIdle", shape: <Circle aria-hidden strokeWidth={3} /> },
} as const;

/** A word, a shape and a colour: none of them speaks alone. */
export function StateDot({ tone, children }: { readonly tone: DotTone; readonly children: ReactNode }) {
  const { className, shape } = DOTS[tone];
  return (
    <span className={cx(styles.dot, styles[className])}>
      {shape}
      <span>{children}</span>
    </span>
  );
}

/** Nothing for 150 ms, then the page's outline, after 3 s what it waits for, after 15 s a way out. */
export function Loading({ what, lines = 6 }: { readonly what: string; readonly lines?: number }) {
  const age = useAge([150, 3_000, 15_000]);
  if (age === 0) return <div role="status" aria-label={`Loading ${what}`} />;
  return (
    <div role="status" aria-label={`Loading ${what}`} className={styles.skeleton}>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of an outline are all alike
        <span key={line} className={styles.bone} />
      ))}
      {age >= 2 ? <p className={styles.reason}>Waiting for {what}…</p> : null}
      {age >= 3 ? (
        <div className={styles.actions}>
          <Button onPress={() => history.back()}>Cancel</Button>
          <Button onPress={() => location.reload()}>Load again</Button>
        </div>
      ) : null}
    </div>
  );
}

/** How many of the given ages, in milliseconds, have passed. */
function useAge(ages: readonly number[]): number {
  const [age, setAge] = useState(0);
  const key = ages.join();
  useEffect(() => {
    const timers = key.split(",").map((ms, index) => setTimeout(() => setAge(index + 1), Number(ms)));
    return () => timers.forEach(clearTimeout);
  }, [key]);
  return age;
}

export function EmptyState({
  title,
  children,
  actions,
}: {
  readonly title: ReactNode;
  readonly children?: ReactNode;
  readonly actions?: ReactNode;
}) {
  return (
    <div className={styles.empty}>
      <h2>{title}</h2>
      {children ? <p>{children}</p> : null}
      {actions ? <div className={styles.actions}>{actions}</div> : null}
    </div>
  );
}

/** A page or a region that could not be read, by the kind of its failure. */
export function ErrorState({
  error,
  onRetry,
  what,
  forbidden,
}: {
  readonly error: AppError;
  readonly onRetry?: () => void;
  /** "this project", for "No such …". */
  readonly what: string;
  /** What the viewer's role may not do here, as a sentence. */
  readonly forbidden?: string;
}) {
  switch (error.code) {
    case "FORBIDDEN":
      return (
        <EmptyState title="Not for your role">
          {forbidden ?? `${error.message} Ask an admin of the organization.`}
        </EmptyState>
      );
    case "NOT_FOUND":
      return (
        <EmptyState
          title={`No such ${what}`}
          actions={<Button onPress={() => location.assign("/projects")}>Projects</Button>}
        >
          It does not exist, or you are not a member of its organization.
        </EmptyState>
      );
    case "RATE_LIMITED":
    case "TOO_MANY_REQUESTS":
      return <Countdown error={error} {...(onRetry ? { onEnd: onRetry } : {})} />;
    default:
      return (
        <EmptyState
          title={error.code === "NETWORK" ? "The server does not answer" : "This could not be read"}
          actions={
            <>
              {onRetry ? <Button onPress={onRetry}>Try again</Button> : null}
              {error.requestId ? (
                <Button onPress={() => copyText(error.requestId ?? "")}>Copy request id</Button>
              ) : null}
            </>
          }
        >
          {error.message}
          {error.requestId ? (
            <>
              {" "}
              Request id <code>{error.requestId}</code>
            </>
          ) : null}
        </EmptyState>
      );
  }
}

/** "Too many attempts": counts down, and does again what only reads. */
export function Countdown({ error, onEnd }: { readonly error: AppError; readonly onEnd?: () => void }) {
  const [left, setLeft] = useState(error.retryAfterSeconds ?? 1);
  useEffect(() => setLeft(error.retryAfterSeconds ?? 1), [error]);
  useEffect(() => {
    if (left <= 0) {
      onEnd?.();
      return;
    }
    const timer = setTimeout(() => setLeft(left - 1), 1_000);
    return () => clearTimeout(timer);
  }, [left, onEnd]);
  return (
    <p role="alert" className={styles.inlineError}>
      <CircleAlert aria-hidden />
      <span>
        {error.message} {left > 0 ? `Try again in ${plural(left, "second")}.` : "Try again now."}
      </span>
    </p>
  );
}

/** Beside a form: what the server said, in place. */
export function InlineError({ error }: { readonly error: AppError | null }) {
  if (!error) return null;
  if (error.retryAfterSeconds !== null) return <Countdown error={error} />;
  return (
    <p role="alert" className={styles.inlineError}>
      <CircleAlert aria-hidden />
      <span>
        {error.message}
        {error.requestId ? (
          <>
            {" "}
            Request id <code>{error.requestId}</code>.
          </>
        ) : null}
      </span>
    </p>
  );
}

export function Banner({
  tone,
  children,
  actions,
}: {
  readonly tone: "info" | "warning" | "danger" | "success";
  readonly children: ReactNode;
  readonly actions?: ReactNode;
}) {
  return (
    <div role={tone === "danger" ? "alert" : "status"} className={cx(styles.banner, styles[tone])}>
      {tone === "warning" || tone === "danger" ? <TriangleAlert aria-hidden /> : <Info aria-hidden />}
      <div>{children}</div>
      {actions ? <div className={styles.actions}>{actions}</div> : null}
    </div>
  );
}

/** Old content stays and dims while it is read again. */
export function Stale({ isStale, children }: { readonly isStale: boolean; readonly children: ReactNode }) {
  return (
    <div className={isStale ? styles.stale : undefined} aria-busy={isStale}>
      {children}
    </div>
  );
}
