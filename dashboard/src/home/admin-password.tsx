/** The first user's one-time password: shown exactly once, to whoever takes it. */
import { useState } from "react";
import { useMutation } from "../graphql/hooks.ts";
import { type Role, roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { ConfirmDialog, OnceDialog } from "../ui/dialog.tsx";
import { Name } from "../ui/parts.tsx";
import { Banner } from "../ui/state.tsx";
import { TakeAdminPasswordDocument } from "./generated/operations.ts";

export function AdminPasswordBanner({
  projectRef,
  adminUser,
  viewerRole,
  onTaken,
}: {
  readonly projectRef: string;
  readonly adminUser: { readonly email: string; readonly hasOneTimePassword: boolean } | null | undefined;
  readonly viewerRole: Role;
  readonly onTaken: () => void;
}) {
  const [isAsked, setAsked] = useState(false);
  const [taken, setTaken] = useState<{ email: string; password: string } | null>(null);
  const take = useMutation(TakeAdminPasswordDocument);
  if (taken) {
    return (
      <OnceDialog
        title="One-time password"
        note="It is shown only now and is no longer kept here. Hand it to the person, who should change it after the first sign-in."
        values={[
          ["E-mail", taken.email],
          ["Password", taken.password],
        ]}
        onClose={() => {
          setTaken(null);
          onTaken();
        }}
      />
    );
  }
  if (!adminUser?.hasOneTimePassword) return null;
  return (
    <>
      <Banner
        tone="info"
        actions={roleAllows(viewerRole, "ADMIN") ? <Button onPress={() => setAsked(true)}>Take it</Button> : null}
      >
        The one-time password of the project’s first user, <Name>{adminUser.email}</Name>, is not taken yet.
      </Banner>
      <ConfirmDialog
        title="Take the one-time password?"
        isOpen={isAsked}
        onClose={() => setAsked(false)}
        confirmLabel="Show it once"
        isDanger={false}
        isRunning={take.isRunning}
        error={take.error}
        onConfirm={async () => {
          const { data } = await take.run({ ref: projectRef });
          if (!data) return;
          setAsked(false);
          setTaken(data.takeAdminPassword);
        }}
      >
        <p>
          The password of {adminUser.email} is shown once and deleted with that. If it gets lost afterwards, the user
          needs a new one. The audit log notes who took it.
        </p>
      </ConfirmDialog>
    </>
  );
}
