/** What the command line asks of projects, over GraphQL. */
import {
  type ApiKeyKind,
  type ApiKeyRole,
  CreateProjectDocument,
  DeleteProjectDocument,
  PauseProjectDocument,
  ProjectDocument,
  ProjectKeysDocument,
  type ProjectQuery,
  type ProjectState,
  ProjectsDocument,
  type ProjectsQuery,
  ResumeProjectDocument,
  RevealApiKeyDocument,
  RevealSecretsDocument,
  ViewerOrganizationsDocument,
} from "./generated/operations.ts";
import type { GraphqlClient } from "./graphql-client.ts";
import { CommandError } from "./output.ts";

export type ProjectSummary = ProjectQuery["project"];

/** Everything a person or a script needs to use a project. */
export interface ProjectCredentials {
  readonly ref: string;
  readonly url: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
  readonly publishableKey: string;
  readonly secretKey: string;
  readonly jwtSecret: string;
  readonly databaseUrl: string;
}

const PAGE_SIZE = 100;
const POLL_MS = 50;
/** A creation takes a tenth of a second; this is for a machine in trouble. */
const SETTLE_TIMEOUT_MS = 120_000;

/**
 * The organization by its slug or id; without a name the only one there is.
 * @throws {CommandError} when there is none, or several to choose from.
 */
export async function findOrganizationId(api: GraphqlClient, wanted: string | undefined): Promise<string> {
  const { viewer } = await api.request(ViewerOrganizationsDocument, {});
  if (!viewer) throw new CommandError("The access token is not valid (any more).");
  const fitting = viewer.organizations.filter(
    ({ id, slug }) => wanted === undefined || wanted === slug || wanted === id,
  );
  const [organization, ...others] = fitting;
  if (!organization)
    throw new CommandError(wanted ? `No organization ${wanted}.` : "You belong to no organization yet.");
  if (others.length > 0) {
    throw new CommandError(`Choose one with --organization: ${fitting.map(({ slug }) => slug).join(", ")}`);
  }
  return organization.id;
}

export async function listProjects(api: GraphqlClient, organizationId: string): Promise<ProjectSummary[]> {
  const projects: ProjectSummary[] = [];
  let after: string | null = null;
  for (;;) {
    const { projects: page }: ProjectsQuery = await api.request(ProjectsDocument, {
      organizationId,
      first: PAGE_SIZE,
      after,
    });
    projects.push(...page.edges.map(({ node }) => node));
    if (!page.pageInfo.hasNextPage) return projects;
    after = page.pageInfo.endCursor ?? null;
  }
}

export async function getProject(api: GraphqlClient, ref: string): Promise<ProjectSummary> {
  return (await api.request(ProjectDocument, { ref })).project;
}

/** Creates a shared project and waits until it serves. @throws {CommandError} with the reason when it fails. */
export async function createProject(
  api: GraphqlClient,
  input: { organizationId: string; name: string; adminUser?: boolean },
): Promise<ProjectSummary> {
  const { createProject: created } = await api.request(CreateProjectDocument, { input });
  return untilState(api, created.ref, "ACTIVE");
}

export async function pauseProject(api: GraphqlClient, ref: string): Promise<ProjectSummary> {
  await api.request(PauseProjectDocument, { ref });
  return untilState(api, ref, "PAUSED");
}

export async function resumeProject(api: GraphqlClient, ref: string): Promise<ProjectSummary> {
  await api.request(ResumeProjectDocument, { ref });
  return untilState(api, ref, "ACTIVE");
}

/** Resolves when the project is deleted. @param force although its cluster cannot be reached, after a deletion has failed. */
export async function deleteProject(api: GraphqlClient, ref: string, force: boolean): Promise<void> {
  await api.request(DeleteProjectDocument, { ref, force });
  const deadline = Date.now() + SETTLE_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (await isGone(api, ref)) return;
    await new Promise((resume) => setTimeout(resume, POLL_MS));
  }
  throw new CommandError(`Project ${ref} is still being deleted.`);
}

/** All keys and the connection string: each reveal is noted in the audit log. */
export async function revealCredentials(api: GraphqlClient, ref: string): Promise<ProjectCredentials> {
  const { project } = await api.request(ProjectKeysDocument, { ref });
  const reveal = async (kind: ApiKeyKind, role: ApiKeyRole) => {
    const key = project.apiKeys.find((one) => one.kind === kind && one.role === role && one.revokedAt === null);
    return key ? (await api.request(RevealApiKeyDocument, { ref, id: key.id })).revealApiKey : "";
  };
  const [anonKey, serviceRoleKey, publishableKey, secretKey, rest] = await Promise.all([
    reveal("LEGACY", "ANON"),
    reveal("LEGACY", "SERVICE_ROLE"),
    reveal("PUBLISHABLE", "ANON"),
    reveal("SECRET", "SERVICE_ROLE"),
    api.request(RevealSecretsDocument, { ref }),
  ]);
  return {
    ref,
    url: project.url,
    anonKey,
    serviceRoleKey,
    publishableKey,
    secretKey,
    jwtSecret: rest.revealSecret,
    databaseUrl: rest.revealDatabaseUrl,
  };
}

async function untilState(api: GraphqlClient, ref: string, state: ProjectState): Promise<ProjectSummary> {
  const deadline = Date.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const project = await getProject(api, ref);
    if (project.state === state) return project;
    if (project.state === "FAILED")
      throw new CommandError(`Project ${ref} failed: ${project.stateReason ?? "no reason given"}`);
    if (Date.now() > deadline) throw new CommandError(`Project ${ref} is still ${project.state}.`);
    await new Promise((resume) => setTimeout(resume, POLL_MS));
  }
}

async function isGone(api: GraphqlClient, ref: string): Promise<boolean> {
  try {
    const project = await getProject(api, ref);
    if (project.state === "FAILED")
      throw new CommandError(`Project ${ref} could not be deleted: ${project.stateReason}`);
    return false;
  } catch (error) {
    if (error instanceof CommandError && error.codes.includes("NOT_FOUND")) return true;
    throw error;
  }
}
