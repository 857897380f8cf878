/** Short news at the corner: what was done, with what can be done next. Failures stay until they are closed. */
import { CircleAlert, CircleCheck, X } from "lucide-react";
import { Text } from "react-aria-components/Text";
import {
  UNSTABLE_Toast as Toast,
  UNSTABLE_ToastContent as ToastContent,
  UNSTABLE_ToastQueue as ToastQueue,
  UNSTABLE_ToastRegion as ToastRegion,
} from "react-aria-components/Toast";
import { Button, IconButton } from "./button.tsx";
import styles from "./overlay.module.css";

export interface Toasted {
  readonly kind: "done" | "failed";
  readonly text: string;
  readonly actions?: readonly { readonly label: string; readonly onAction: () => void }[];
}

const SHOWN_MS = 6_000;
const queue = new ToastQueue<Toasted>({ maxVisibleToasts: 3 });

export function toast(text: string, actions: Toasted["actions"] = []): void {
  queue.add({ kind: "done", text, actions }, { timeout: SHOWN_MS });
}

export function toastFailure(text: string): void {
  queue.add({ kind: "failed", text });
}

export function Toasts() {
  return (
    <ToastRegion queue={queue} className={styles.toasts ?? ""}>
      {({ toast: shown }) => (
        <Toast toast={shown} className={styles.toast ?? ""}>
          {shown.content.kind === "failed" ? (
            <CircleAlert aria-hidden color="var(--danger)" />
          ) : (
            <CircleCheck aria-hidden color="var(--success)" />
          )}
          <ToastContent className={styles.toastText ?? ""}>
            <Text slot="title">{shown.content.text}</Text>
            {shown.content.actions?.length ? (
              <div className={styles.toastActions}>
                {shown.content.actions.map(({ label, onAction }) => (
                  <Button
                    key={label}
                    size="small"
                    onPress={() => {
                      onAction();
                      queue.close(shown.key);
                    }}
                  >
                    {label}
                  </Button>
                ))}
              </div>
            ) : null}
          </ToastContent>
          <IconButton slot="close" label="Close">
            <X aria-hidden />
          </IconButton>
        </Toast>
      )}
    </ToastRegion>
  );
}
