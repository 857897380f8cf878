/** An organization's name, and its end. */
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation } from "../graphql/hooks.ts";
import { Page, Section } from "../shell/page.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { Copyable } from "../ui/copy.tsx";
import { ConfirmDialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { Form } from "../ui/form.tsx";
import { KeyValue } from "../ui/parts.tsx";
import { DeleteOrganizationDocument, RenameOrganizationDocument } from "./generated/operations.ts";
import { type ViewerOrganization, WithOrganization } from "./organization.tsx";

export function OrganizationSettingsPage() {
  return (
    <WithOrganization>
      {(organization) => <Settings key={organization.id} organization={organization} />}
    </WithOrganization>
  );
}

function Settings({ organization }: { readonly organization: ViewerOrganization }) {
  const { id, slug, viewerRole } = organization;
  const [saved, setSaved] = useState(organization.name);
  const [name, setName] = useState(saved);
  const [isDeleting, setDeleting] = useState(false);
  const rename = useMutation(RenameOrganizationDocument);
  const remove = useMutation(DeleteOrganizationDocument);
  return (
    <Page title="Settings" documentTitle={`Settings of ${saved}`}>
      <KeyValue
        rows={[
          ["Address", <Copyable key="slug" name="address" value={slug} />],
          ["Id", <Copyable key="id" name="id" value={id} />],
        ]}
      />
      {roleAllows(viewerRole, "ADMIN") ? (
        <Section title="Name">
          <Form
            submitLabel="Save name"
            isUnchanged={name === saved}
            isRunning={rename.isRunning}
            error={errorBeside(rename.error, "name")}
            onSubmit={async () => {
              const { data } = await rename.run({ id, name });
              if (data) setSaved(data.renameOrganization.name);
            }}
          >
            <TextField
              label="Name"
              value={name}
              onChange={setName}
              error={fieldError(rename.error, "name")}
              help="Its address stays as it is."
            />
          </Form>
        </Section>
      ) : null}
      {viewerRole === "OWNER" ? (
        <Section
          title="Delete the organization"
          lead="Possible when it has no projects any more. Members, invitations and the audit log go with it."
        >
          <Button onPress={() => setDeleting(true)}>Delete organization…</Button>
          <ConfirmDialog
            title={`Delete ${saved}?`}
            isOpen={isDeleting}
            onClose={() => {
              remove.forgetError();
              setDeleting(false);
            }}
            typedName={saved}
            confirmLabel="Delete organization"
            isRunning={remove.isRunning}
            error={remove.error}
            onConfirm={async () => {
              const { error } = await remove.run({ id });
              if (!error) location.assign("/projects");
            }}
          >
            <p>Its members, invitations and audit log are deleted for good.</p>
          </ConfirmDialog>
        </Section>
      ) : null}
    </Page>
  );
}
