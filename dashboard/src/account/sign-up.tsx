/** Making an account: the first one owns the installation; later ones where sign-up is open, or with an invitation. */
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Button } from "../ui/button.tsx";
import { SubmitForm } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { EmptyState, InlineError, Loading } from "../ui/state.tsx";
import { InstanceDocument, SignUpDocument } from "./generated/operations.ts";
import { SignedOut, signedOutStyles } from "./signed-out.tsx";

export function SignUpPage() {
  const { data } = useQuery(InstanceDocument, {});
  if (!data) {
    return (
      <SignedOut title="Sign up">
        <Loading what="the server" lines={4} />
      </SignedOut>
    );
  }
  const { needsFirstAccount, openSignUp } = data.instance;
  if (!needsFirstAccount && !openSignUp) {
    return (
      <SignedOut title="Sign up" foot={<Link to="/sign-in">Sign in instead</Link>}>
        <EmptyState title="Accounts are made by invitation">Ask an admin of an organization for one.</EmptyState>
      </SignedOut>
    );
  }
  return needsFirstAccount ? (
    <SignedOut
      title="Make the first account"
      lead="It owns this installation: its clusters, accounts and organizations."
    >
      <SignUpForm withOrganization />
    </SignedOut>
  ) : (
    <SignedOut title="Sign up" foot={<Link to="/sign-in">Sign in instead</Link>}>
      <SignUpForm withOrganization />
    </SignedOut>
  );
}

export function SignUpForm({
  withOrganization,
  invitationToken,
}: {
  readonly withOrganization?: boolean;
  readonly invitationToken?: string;
}) {
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [organizationName, setOrganizationName] = useState("");
  const [password, setPassword] = useState("");
  const signUp = useMutation(SignUpDocument);
  const submit = async () => {
    const { error } = await signUp.run({
      input: {
        email,
        password,
        ...(name ? { name } : {}),
        ...(withOrganization ? { organizationName: organizationName || "My organization" } : {}),
        ...(invitationToken ? { invitationToken } : {}),
      },
    });
    if (!error) location.assign("/projects");
  };
  const at = (field: string) => fieldError(signUp.error, field);
  return (
    <SubmitForm className={signedOutStyles.form} onSubmit={() => void submit()}>
      <TextField
        label="E-mail"
        type="email"
        autoComplete="username"
        autoFocus
        value={email}
        onChange={setEmail}
        error={at("email")}
      />
      <TextField
        label="Name"
        autoComplete="name"
        value={name}
        onChange={setName}
        error={at("name")}
        help="As members see it. May be left out."
      />
      {withOrganization ? (
        <TextField
          label="Organization"
          value={organizationName}
          onChange={setOrganizationName}
          error={at("organizationName")}
          placeholder="My organization"
          help="Holds your projects and their members."
        />
      ) : null}
      <TextField
        label="Password"
        type="password"
        autoComplete="new-password"
        value={password}
        onChange={setPassword}
        error={at("password")}
        help="At least 8 characters."
      />
      <InlineError error={errorBeside(signUp.error, "email", "name", "organizationName", "password")} />
      <Button variant="primary" size="large" type="submit" isPending={signUp.isRunning}>
        Make the account
      </Button>
    </SubmitForm>
  );
}
