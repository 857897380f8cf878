/** A project's name, and what is done to it as a whole: pause, restart, delete. */
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { type OperationText, useMutation } from "../graphql/hooks.ts";
import { DeleteProjectDialog } from "../projects/delete-project-dialog.tsx";
import {
  PauseProjectDocument,
  RenameProjectDocument,
  RestartProjectDocument,
  ResumeProjectDocument,
} from "../projects/generated/operations.ts";
import { Page, Section } from "../shell/page.tsx";
import { useProject } from "../shell/project-layout.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { Copyable } from "../ui/copy.tsx";
import { ConfirmDialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { Form } from "../ui/form.tsx";
import { KeyValue, Name } from "../ui/parts.tsx";
import { InlineError } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import styles from "./settings.module.css";

export function GeneralSettingsPage() {
  const project = useProject();
  const { ref, name, state, viewerRole, organization, operations } = project;
  const [isDeleting, setDeleting] = useState(false);
  const mayAct = roleAllows(viewerRole, "ADMIN");
  return (
    <Page title="General" documentTitle={`Settings of ${name}`}>
      <KeyValue
        rows={[
          ["Ref", <Copyable key="ref" name="ref" value={ref} />],
          ["Organization", <Name key="organization">{organization.name}</Name>],
          ["Plan", project.plan === "SHARED" ? "Shared" : "Dedicated"],
        ]}
      />
      {mayAct ? (
        <>
          <Section title="Name">
            <NameForm key={name} projectRef={ref} name={name} />
          </Section>
          <Section title="Danger zone">
            <div className={styles.danger}>
              {state === "PAUSED" ? (
                <ResumeDeed projectRef={ref} />
              ) : (
                <Deed
                  title="Pause"
                  text="Requests are answered that the project is paused; its connections close. The data stays."
                  label="Pause project"
                  question={`Pause ${name}?`}
                  document={PauseProjectDocument}
                  projectRef={ref}
                  isPossible={state === "ACTIVE"}
                />
              )}
              <Deed
                title="Restart"
                text="Ends the database connections and makes the services read everything anew. Requests under way may fail."
                label="Restart project"
                question={`Restart ${name}?`}
                document={RestartProjectDocument}
                projectRef={ref}
                isPossible={state === "ACTIVE"}
              />
              <div className={styles.deed}>
                <p>
                  <strong>Delete</strong>
                  The database with all tables, the users, files, keys and secrets are deleted for good.
                </p>
                <Button variant="danger" onPress={() => setDeleting(true)}>
                  Delete project…
                </Button>
              </div>
            </div>
          </Section>
        </>
      ) : null}
      <DeleteProjectDialog
        project={{ ref, name, viewerRole, hasFailedToDelete: state === "FAILED" && operations[0]?.kind === "DELETE" }}
        isOpen={isDeleting}
        onClose={() => setDeleting(false)}
      />
    </Page>
  );
}

function NameForm({ projectRef, name }: { readonly projectRef: string; readonly name: string }) {
  const [value, setValue] = useState(name);
  const rename = useMutation(RenameProjectDocument);
  return (
    <Form
      submitLabel="Save name"
      isUnchanged={value === name}
      isRunning={rename.isRunning}
      error={errorBeside(rename.error, "name")}
      onSubmit={async () => {
        const { data } = await rename.run({ ref: projectRef, name: value });
        if (data) toast("The name is saved.");
      }}
    >
      <TextField
        label="Name"
        value={value}
        onChange={setValue}
        maxLength={100}
        error={fieldError(rename.error, "name")}
        help="The ref and the URLs stay."
      />
    </Form>
  );
}

function ResumeDeed({ projectRef }: { readonly projectRef: string }) {
  const resume = useMutation(ResumeProjectDocument);
  return (
    <div className={styles.deed}>
      <p>
        <strong>Resume</strong>
        Serves the project again; it takes a moment.
      </p>
      <Button isPending={resume.isRunning} onPress={() => void resume.run({ ref: projectRef })}>
        Resume project
      </Button>
      <InlineError error={resume.error} />
    </div>
  );
}

function Deed({
  title,
  text,
  label,
  question,
  document,
  projectRef,
  isPossible,
}: {
  readonly title: string;
  readonly text: string;
  readonly label: string;
  readonly question: string;
  readonly document: OperationText<unknown, { ref: string }>;
  readonly projectRef: string;
  readonly isPossible: boolean;
}) {
  const [isAsked, setAsked] = useState(false);
  const deed = useMutation(document);
  return (
    <div className={styles.deed}>
      <p>
        <strong>{title}</strong>
        {text}
        {isPossible ? null : " Possible while the project is active."}
      </p>
      <Button isDisabled={!isPossible} onPress={() => setAsked(true)}>
        {label}…
      </Button>
      <ConfirmDialog
        title={question}
        isOpen={isAsked}
        onClose={() => {
          deed.forgetError();
          setAsked(false);
        }}
        confirmLabel={label}
        isDanger={false}
        isRunning={deed.isRunning}
        error={deed.error}
        onConfirm={async () => {
          const { error } = await deed.run({ ref: projectRef });
          if (!error) setAsked(false);
        }}
      >
        <p>{text}</p>
      </ConfirmDialog>
    </div>
  );
}
