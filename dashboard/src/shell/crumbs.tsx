/** Where one is: organization, project and its state; both switch. */
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ChevronsUpDown } from "lucide-react";
import { useQuery } from "../graphql/hooks.ts";
import { ProjectStateDot } from "../projects/project-state.tsx";
import { Button } from "../ui/button.tsx";
import { visible } from "../ui/format.ts";
import { Menu } from "../ui/menu.tsx";
import { Name } from "../ui/parts.tsx";
import { FindProjectsDocument, ProjectFrameDocument } from "./generated/operations.ts";
import styles from "./shell.module.css";
import { useViewer } from "./viewer.ts";

export function Crumbs() {
  const { ref, slug } = useParams({ strict: false });
  return (
    <nav aria-label="Where you are" className={styles.crumbs}>
      {ref ? <ProjectCrumbs projectRef={ref} /> : <OrganizationCrumb slug={slug} />}
    </nav>
  );
}

function OrganizationCrumb({ slug }: { readonly slug: string | undefined }) {
  const { organizations } = useViewer();
  const navigate = useNavigate();
  const { org } = useSearch({ strict: false }) as { org?: string };
  const current = organizations.find((organization) => organization.slug === (slug ?? org));
  return (
    <span className={styles.orgCrumb}>
      <Menu
        label="Organization"
        trigger={
          <Button variant="ghost" size="small" className={styles.switcher ?? ""}>
            <span>{current ? <Name>{current.name}</Name> : "All organizations"}</span>
            <ChevronsUpDown aria-hidden />
          </Button>
        }
        sections={[
          {
            items: [
              {
                id: "all",
                label: "All organizations",
                onAction: () => void navigate({ to: "/projects", search: {} }),
              },
              ...organizations.map((organization) => ({
                id: organization.id,
                label: visible(organization.name),
                onAction: () => void navigate({ to: "/projects", search: { org: organization.slug } }),
              })),
            ],
          },
          {
            items: [
              ...(current
                ? [
                    {
                      id: "members",
                      label: "Members and settings",
                      onAction: () => void navigate({ to: "/orgs/$slug/members", params: { slug: current.slug } }),
                    },
                  ]
                : []),
              {
                id: "new",
                label: "New organization",
                onAction: () => void navigate({ to: "/account/organizations" }),
              },
            ],
          },
        ]}
      />
    </span>
  );
}

function ProjectCrumbs({ projectRef }: { readonly projectRef: string }) {
  const navigate = useNavigate();
  const { data } = useQuery(ProjectFrameDocument, { ref: projectRef }, { policy: "cache-first" });
  const others = useQuery(FindProjectsDocument, { search: null }, { policy: "cache-first" });
  const project = data?.project;
  if (!project) return null;
  const projects = others.data?.viewer?.projects.edges.map(({ node }) => node) ?? [];
  return (
    <>
      <Button
        variant="ghost"
        size="small"
        className={`${styles.switcher} ${styles.orgCrumb}`}
        onPress={() => void navigate({ to: "/projects", search: { org: project.organization.slug } })}
      >
        <span>
          <Name>{project.organization.name}</Name>
        </span>
      </Button>
      <span aria-hidden className={`${styles.separator} ${styles.orgCrumb}`}>
        /
      </span>
      <Menu
        label="Project"
        trigger={
          <Button variant="ghost" size="small" className={styles.switcher ?? ""}>
            <span>
              <Name>{project.name}</Name>
            </span>
            <ChevronsUpDown aria-hidden />
          </Button>
        }
        sections={[
          {
            heading: "Projects",
            items: projects.map(({ ref, name, organization }) => ({
              id: ref,
              label: visible(name),
              help: visible(organization.name),
              onAction: () => void navigate({ to: "/projects/$ref", params: { ref } }),
            })),
          },
          { items: [{ id: "all", label: "All projects", onAction: () => void navigate({ to: "/projects" }) }] },
        ]}
      />
      <span className={styles.stateWord}>
        <ProjectStateDot project={project} />
      </span>
    </>
  );
}
