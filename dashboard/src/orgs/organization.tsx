/** The organization of an address: found among the viewer's own. */
import { useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useViewer, type Viewer } from "../shell/viewer.ts";
import { ButtonLink } from "../ui/button.tsx";
import { EmptyState } from "../ui/state.tsx";

export type ViewerOrganization = Viewer["organizations"][number];

/** Renders with the organization, or says that there is none. */
export function WithOrganization({ children }: { readonly children: (organization: ViewerOrganization) => ReactNode }) {
  const { slug } = useParams({ strict: false });
  const organization = useViewer().organizations.find((candidate) => candidate.slug === slug);
  if (organization) return children(organization);
  return (
    <EmptyState title="No such organization" actions={<ButtonLink to="/projects">Projects</ButtonLink>}>
      It does not exist, or you are not a member of it.
    </EmptyState>
  );
}
