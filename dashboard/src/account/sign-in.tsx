/** Signing in. Before the first account there is nobody to sign in: then the first person is led to make it. */
import { Link, Navigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Button } from "../ui/button.tsx";
import { SubmitForm } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { InlineError } from "../ui/state.tsx";
import { InstanceDocument, SignInDocument } from "./generated/operations.ts";
import { returnAddress } from "./return-address.ts";
import { SignedOut, signedOutStyles } from "./signed-out.tsx";

export function SignInPage() {
  const { to } = useSearch({ strict: false }) as { to?: string };
  const { data } = useQuery(InstanceDocument, {});
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useMutation(SignInDocument);
  const submit = async () => {
    const { error } = await signIn.run({ email, password });
    if (!error) location.assign(returnAddress(to));
  };
  if (data?.instance.needsFirstAccount) return <Navigate to="/sign-up" replace />;
  return (
    <SignedOut
      title="Sign in"
      foot={
        data?.instance.openSignUp ? (
          <>
            No account yet? <Link to="/sign-up">Sign up</Link>
          </>
        ) : (
          "Accounts are made by invitation. Ask an admin of your organization."
        )
      }
    >
      <SubmitForm className={signedOutStyles.form} onSubmit={() => void submit()}>
        <TextField
          label="E-mail"
          type="email"
          name="email"
          autoComplete="username"
          autoFocus
          value={email}
          onChange={setEmail}
        />
        <TextField
          label="Password"
          type="password"
          name="password"
          autoComplete="current-password"
          value={password}
          onChange={setPassword}
        />
        <InlineError error={signIn.error} />
        <Button variant="primary" size="large" type="submit" isPending={signIn.isRunning}>
          Sign in
        </Button>
      </SubmitForm>
    </SignedOut>
  );
}
