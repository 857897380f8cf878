/** The session is over in the middle of work: signing in again above the page, which keeps all that was typed. */
import { useState } from "react";
import { SignInDocument } from "../account/generated/operations.ts";
import { useMutation } from "../graphql/hooks.ts";
import { resume } from "../graphql/live.ts";
import { setSessionEnded, useSessionEnded } from "../graphql/session-end.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { InlineError } from "../ui/state.tsx";
import { useViewer } from "./viewer.ts";

export function SessionEnded() {
  const hasEnded = useSessionEnded();
  const { email } = useViewer();
  const [password, setPassword] = useState("");
  const signIn = useMutation(SignInDocument);
  const submit = async () => {
    const { error } = await signIn.run({ email, password });
    if (error) return;
    setPassword("");
    setSessionEnded(false);
    resume();
  };
  return (
    <Dialog
      title="Your session has ended"
      isOpen={hasEnded}
      isHeld
      onClose={() => undefined}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={() => location.assign("/sign-in")}>Use another account</Button>
          <Button variant="primary" type="submit" isPending={signIn.isRunning}>
            Sign in
          </Button>
        </>
      }
    >
      <p>Sign in as {email} to go on. What you have typed on this page is still there.</p>
      <TextField
        label="Password"
        type="password"
        autoComplete="current-password"
        autoFocus
        value={password}
        onChange={setPassword}
      />
      <InlineError error={signIn.error} />
    </Dialog>
  );
}
