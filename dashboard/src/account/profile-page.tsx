/** The viewer's own data: name, e-mail, password. */
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { Page, Section } from "../shell/page.tsx";
import { TextField } from "../ui/field.tsx";
import { Form } from "../ui/form.tsx";
import { ErrorState, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import {
  ChangeEmailDocument,
  ChangePasswordDocument,
  ProfileDocument,
  UpdateAccountDocument,
} from "./generated/operations.ts";

export function ProfilePage() {
  const { data, error, refetch } = useQuery(ProfileDocument, {});
  return (
    <Page title="Profile" documentTitle="Profile">
      {error && !data ? <ErrorState error={error} onRetry={refetch} what="account" /> : null}
      {!data && !error ? <Loading what="your account" /> : null}
      {data?.viewer ? (
        <>
          <NameForm name={data.viewer.name} />
          <Section title="E-mail" lead="What you sign in with, and what invitations are made for.">
            <EmailForm email={data.viewer.email} />
          </Section>
          <Section title="Password" lead="A new one signs you out everywhere else. Access tokens stay.">
            <PasswordForm email={data.viewer.email} />
          </Section>
        </>
      ) : null}
    </Page>
  );
}

function NameForm({ name }: { readonly name: string }) {
  const [value, setValue] = useState(name);
  const update = useMutation(UpdateAccountDocument);
  return (
    <Form
      submitLabel="Save name"
      isUnchanged={value === name}
      isRunning={update.isRunning}
      error={errorBeside(update.error, "name")}
      onSubmit={async () => {
        const { data } = await update.run({ name: value });
        if (data) toast("Your name is saved.");
      }}
    >
      <TextField
        label="Name"
        autoComplete="name"
        value={value}
        onChange={setValue}
        error={fieldError(update.error, "name")}
        help="As members of your organizations see it."
      />
    </Form>
  );
}

function EmailForm({ email }: { readonly email: string }) {
  const [value, setValue] = useState(email);
  const [password, setPassword] = useState("");
  const change = useMutation(ChangeEmailDocument);
  return (
    <Form
      submitLabel="Change e-mail"
      isUnchanged={value === email || password === ""}
      isRunning={change.isRunning}
      error={errorBeside(change.error, "email", "currentPassword")}
      onSubmit={async () => {
        const { data } = await change.run({ email: value, currentPassword: password });
        if (!data) return;
        setPassword("");
        toast("Your e-mail is changed.");
      }}
    >
      <TextField
        label="E-mail"
        type="email"
        autoComplete="email"
        value={value}
        onChange={setValue}
        error={fieldError(change.error, "email")}
      />
      <TextField
        label="Current password"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={setPassword}
        error={fieldError(change.error, "currentPassword")}
      />
    </Form>
  );
}

function PasswordForm({ email }: { readonly email: string }) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const change = useMutation(ChangePasswordDocument);
  return (
    <Form
      submitLabel="Change password"
      isUnchanged={current === "" || next === ""}
      isRunning={change.isRunning}
      error={errorBeside(change.error, "newPassword", "currentPassword")}
      onSubmit={async () => {
        const { data } = await change.run({ currentPassword: current, newPassword: next });
        if (!data) return;
        setCurrent("");
        setNext("");
        toast("Your password is changed. Other sessions have ended.");
      }}
    >
      <input type="email" autoComplete="username" value={email} readOnly hidden />
      <TextField
        label="Present password"
        type="password"
        autoComplete="current-password"
        value={current}
        onChange={setCurrent}
        error={fieldError(change.error, "currentPassword")}
      />
      <TextField
        label="New password"
        type="password"
        autoComplete="new-password"
        value={next}
        onChange={setNext}
        error={fieldError(change.error, "newPassword")}
        help="At least 8 characters."
      />
    </Form>
  );
}
