/**
 * An invitation: `/join#<token>`. The token is read once, taken out of the address, and sent in a body only. Whoever has
 * an account joins with it; whoever has none makes one.
 */
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { ViewerDocument } from "../shell/generated/operations.ts";
import { Button } from "../ui/button.tsx";
import { SubmitForm } from "../ui/dialog.tsx";
import { Segmented, TextField } from "../ui/field.tsx";
import { EmptyState, InlineError, Loading } from "../ui/state.tsx";
import { AcceptInvitationDocument, SignInDocument } from "./generated/operations.ts";
import { SignUpForm } from "./sign-up.tsx";
import { SignedOut, signedOutStyles } from "./signed-out.tsx";

/** Kept beyond a remount of the page, and gone with the tab. */
let heldToken: string | null = null;

export function JoinPage() {
  const [token] = useState(() => {
    heldToken = location.hash.slice(1) || heldToken;
    return heldToken;
  });
  const navigate = useNavigate();
  useEffect(() => {
    if (location.hash) void navigate({ to: "/join", replace: true });
  }, [navigate]);
  const { data } = useQuery(ViewerDocument, {});
  const [way, setWay] = useState<"new" | "known">("new");

  if (!token) {
    return (
      <SignedOut title="Join">
        <EmptyState title="This link has no invitation">
          Open the whole link that you were given, or ask for a new one.
        </EmptyState>
      </SignedOut>
    );
  }
  if (!data) {
    return (
      <SignedOut title="Join">
        <Loading what="the server" lines={4} />
      </SignedOut>
    );
  }
  if (data.viewer) {
    return (
      <SignedOut title="Join an organization" lead={`You are signed in as ${data.viewer.email}.`}>
        <AcceptButton token={token} />
        <p>
          The invitation is for somebody else? <Link to="/projects">Go to your projects</Link>
        </p>
      </SignedOut>
    );
  }
  return (
    <SignedOut title="Join an organization" lead="The account must have the e-mail address that was invited.">
      <Segmented
        label="Account"
        isLabelHidden
        value={way}
        onChange={setWay}
        choices={[
          { value: "new", label: "Make an account" },
          { value: "known", label: "I have one" },
        ]}
      />
      {way === "new" ? <SignUpForm invitationToken={token} /> : <SignInAndAccept token={token} />}
    </SignedOut>
  );
}

function AcceptButton({ token }: { readonly token: string }) {
  const accept = useMutation(AcceptInvitationDocument);
  return (
    <>
      <InlineError error={accept.error} />
      <Button
        variant="primary"
        size="large"
        isPending={accept.isRunning}
        onPress={async () => {
          const { data } = await accept.run({ token });
          if (data) location.assign(`/projects?org=${encodeURIComponent(data.acceptInvitation.slug)}`);
        }}
      >
        Accept the invitation
      </Button>
    </>
  );
}

function SignInAndAccept({ token }: { readonly token: string }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useMutation(SignInDocument);
  const accept = useMutation(AcceptInvitationDocument);
  const submit = async () => {
    const signedIn = await signIn.run({ email, password });
    if (signedIn.error) return;
    const { data } = await accept.run({ token });
    if (data) location.assign(`/projects?org=${encodeURIComponent(data.acceptInvitation.slug)}`);
  };
  return (
    <SubmitForm className={signedOutStyles.form} onSubmit={() => void submit()}>
      <TextField label="E-mail" type="email" autoComplete="username" autoFocus value={email} onChange={setEmail} />
      <TextField
        label="Password"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={setPassword}
      />
      <InlineError error={signIn.error ?? accept.error} />
      <Button variant="primary" size="large" type="submit" isPending={signIn.isRunning || accept.isRunning}>
        Sign in and join
      </Button>
    </SubmitForm>
  );
}
