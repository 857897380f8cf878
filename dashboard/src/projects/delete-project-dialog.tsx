/** Deleting a project: by its typed name, with what is lost. By force only after a deletion that has failed. */
import { useMutation } from "../graphql/hooks.ts";
import { type Role, roleAllows } from "../shell/viewer.ts";
import { ConfirmDialog } from "../ui/dialog.tsx";
import { toast } from "../ui/toast.tsx";
import { DeleteProjectDocument } from "./generated/operations.ts";

export interface DeletableProject {
  readonly ref: string;
  readonly name: string;
  readonly viewerRole: Role;
  readonly hasFailedToDelete: boolean;
}

export function DeleteProjectDialog({
  project,
  isOpen,
  onClose,
}: {
  readonly project: DeletableProject;
  readonly isOpen: boolean;
  readonly onClose: () => void;
}) {
  const remove = useMutation(DeleteProjectDocument);
  const force = project.hasFailedToDelete && roleAllows(project.viewerRole, "OWNER");
  const close = () => {
    remove.forgetError();
    onClose();
  };
  return (
    <ConfirmDialog
      title={`Delete ${project.name}?`}
      isOpen={isOpen}
      onClose={close}
      typedName={project.name}
      confirmLabel={force ? "Delete by force" : "Delete project"}
      isRunning={remove.isRunning}
      error={remove.error}
      onConfirm={async () => {
        const { error } = await remove.run({ ref: project.ref, force });
        if (error) return;
        toast(`${project.name} is being deleted.`);
        onClose();
      }}
    >
      <p>
        Its database with all tables, its users, files, keys and secrets are deleted for good. Applications that use it
        stop working at once. Nobody can bring it back.
      </p>
      {force ? (
        <p>
          An ordinary deletion has failed. By force the project goes even while its cluster cannot be reached; what it
          has there is removed once the cluster is back.
        </p>
      ) : null}
    </ConfirmDialog>
  );
}
