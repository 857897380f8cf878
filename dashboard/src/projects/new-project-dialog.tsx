/** A new project: its name, where it belongs, and on what it runs. It appears in the list at once, with its steps. */
import { useState } from "react";
import { fieldError } from "../graphql/errors.ts";
import { useMutation } from "../graphql/hooks.ts";
import { roleAllows, useViewer } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { InlineError } from "../ui/state.tsx";
import { CreateProjectDocument } from "./generated/operations.ts";

export function NewProjectDialog({
  organizationId,
  onClose,
  onCreated,
}: {
  /** Chosen beforehand; may be changed. */
  readonly organizationId: string | undefined;
  readonly onClose: () => void;
  readonly onCreated: (ref: string) => void;
}) {
  const organizations = useViewer().organizations.filter(({ viewerRole }) => roleAllows(viewerRole, "ADMIN"));
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState(organizationId ?? organizations[0]?.id ?? "");
  const create = useMutation(CreateProjectDocument);
  const nameError = fieldError(create.error, "name");
  const submit = async () => {
    const { data } = await create.run({ input: { name, organizationId: chosen, plan: "SHARED" } });
    if (data) onCreated(data.createProject.ref);
  };
  return (
    <Dialog
      title="New project"
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={create.isRunning}>
            Create project
          </Button>
        </>
      }
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        error={nameError}
        autoFocus
        maxLength={100}
        help="Up to 100 characters. It can be changed later; the ref in its URLs cannot."
      />
      <Select
        label="Organization"
        value={chosen}
        onChange={setChosen}
        choices={organizations.map(({ id, name: label }) => ({ value: id, label }))}
      />
      <p>A shared project: a database of its own in a shared cluster, ready in about a second.</p>
      {nameError ? null : <InlineError error={create.error} />}
    </Dialog>
  );
}
