/** A new user, confirmed at once; its password is given, or made up and shown once. */
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation } from "../graphql/hooks.ts";
import { Button } from "../ui/button.tsx";
import { Dialog, OnceDialog } from "../ui/dialog.tsx";
import { Segmented, TextField } from "../ui/field.tsx";
import { InlineError } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import { CreateProjectUserDocument } from "./generated/operations.ts";
import { RoleField } from "./role-field.tsx";

export function CreateUserDialog({
  projectRef,
  knownRoles,
  onClose,
  onCreated,
}: {
  readonly projectRef: string;
  readonly knownRoles: readonly string[];
  readonly onClose: () => void;
  readonly onCreated: () => void;
}) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("");
  const [way, setWay] = useState<"made" | "given">("made");
  const [password, setPassword] = useState("");
  const [made, setMade] = useState<{ email: string; password: string } | null>(null);
  const create = useMutation(CreateProjectUserDocument);
  const submit = async () => {
    const { data } = await create.run({
      input: {
        ref: projectRef,
        email,
        ...(role.trim() ? { role: role.trim() } : {}),
        ...(way === "given" ? { password } : {}),
      },
    });
    if (!data) return;
    onCreated();
    const { password: shown } = data.createProjectUser;
    if (shown) return setMade({ email, password: shown });
    toast(`${email} is created and can sign in.`);
    onClose();
  };
  if (made) {
    return (
      <OnceDialog
        title="The user’s password"
        note="It was made up, is kept only as a hash, and is shown only now."
        values={[
          ["E-mail", made.email],
          ["Password", made.password],
        ]}
        onClose={onClose}
      />
    );
  }
  return (
    <Dialog
      title="Create user"
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={create.isRunning}>
            Create user
          </Button>
        </>
      }
    >
      <TextField
        label="E-mail"
        type="email"
        autoComplete="off"
        autoFocus
        value={email}
        onChange={setEmail}
        error={fieldError(create.error, "email")}
        help="Counts as confirmed: the user can sign in at once."
      />
      <RoleField value={role} onChange={setRole} knownRoles={knownRoles} error={fieldError(create.error, "role")} />
      <Segmented
        label="Password"
        value={way}
        onChange={setWay}
        choices={[
          { value: "made", label: "Make one up" },
          { value: "given", label: "Give one" },
        ]}
      />
      {way === "given" ? (
        <TextField
          label="Password of the user"
          type="password"
          autoComplete="new-password"
          value={password}
          onChange={setPassword}
          error={fieldError(create.error, "password")}
          help="At least 6 characters."
        />
      ) : null}
      <InlineError error={errorBeside(create.error, "email", "role", "password")} />
    </Dialog>
  );
}
