/** The viewer's organizations, and a new one. */
import { Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { ViewerDocument } from "../shell/generated/operations.ts";
import { Page } from "../shell/page.tsx";
import { ROLE_NAMES } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { DataList } from "../ui/data-list.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { Name } from "../ui/parts.tsx";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { CreateOrganizationDocument } from "./generated/operations.ts";

export function OrganizationsPage() {
  const { data, error, refetch } = useQuery(ViewerDocument, {});
  const [isCreating, setCreating] = useState(false);
  const organizations = data?.viewer?.organizations;
  return (
    <Page
      title="Organizations"
      documentTitle="Organizations"
      lead="An organization holds projects and the people who work on them."
      actions={
        <Button variant="primary" onPress={() => setCreating(true)}>
          <Plus aria-hidden /> New organization
        </Button>
      }
    >
      {error && !organizations ? <ErrorState error={error} onRetry={refetch} what="account" /> : null}
      {!organizations && !error ? <Loading what="your organizations" /> : null}
      {organizations?.length === 0 ? (
        <EmptyState title="You belong to no organization">Make one, or ask to be invited to one.</EmptyState>
      ) : null}
      {organizations && organizations.length > 0 ? (
        <DataList
          label="Organizations"
          items={organizations}
          keyOf={({ id }) => id}
          columns={[
            {
              id: "name",
              title: "Name",
              place: "primary",
              cell: ({ name, slug }) => (
                <Link to="/orgs/$slug/members" params={{ slug }}>
                  <Name>{name}</Name>
                </Link>
              ),
            },
            { id: "role", title: "Your role", cell: ({ viewerRole }) => <Badge>{ROLE_NAMES[viewerRole]}</Badge> },
            {
              id: "projects",
              title: "Projects",
              isNarrow: true,
              cell: ({ slug }) => (
                <Link to="/projects" search={{ org: slug }}>
                  Projects
                </Link>
              ),
            },
          ]}
        />
      ) : null}
      {isCreating ? <NewOrganizationDialog onClose={() => setCreating(false)} /> : null}
    </Page>
  );
}

function NewOrganizationDialog({ onClose }: { readonly onClose: () => void }) {
  const [name, setName] = useState("");
  const create = useMutation(CreateOrganizationDocument);
  const submit = async () => {
    const { data } = await create.run({ name });
    // The whole frame knows the viewer's organizations: it is loaded anew.
    if (data) location.assign(`/orgs/${encodeURIComponent(data.createOrganization.slug)}/members`);
  };
  return (
    <Dialog
      title="New organization"
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={create.isRunning}>
            Create organization
          </Button>
        </>
      }
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        autoFocus
        error={fieldError(create.error, "name")}
        help="You will own it. Its address is made from the first name and stays."
      />
      <InlineError error={errorBeside(create.error, "name")} />
    </Dialog>
  );
}
