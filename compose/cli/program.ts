/** The command line: what it can be told, and how it answers people and scripts. */
import { join } from "node:path";
import { Command } from "commander";
import type { Environment } from "../environment.ts";
import { type AdvisorsOptions, showAdvisories } from "./advisors.ts";
import { connectToControlPlane, getLocalInstance } from "./graphql-client.ts";
import { type MailsOptions, showMails, testMail } from "./mails.ts";
import { formatFields, formatTable, printJson } from "./output.ts";
import {
  createProject,
  deleteProject,
  findOrganizationId,
  getProject,
  listProjects,
  type ProjectSummary,
  pauseProject,
  resumeProject,
  revealCredentials,
} from "./projects.ts";
import type { TailOptions } from "./realtime.ts";
import { supabaseSnippet } from "./snippet.ts";
import { printSql } from "./sql.ts";
import { type CopyOptions, copyStorage, listStorage, removeStorage } from "./storage.ts";

interface JsonOption {
  readonly json?: boolean;
}

/** @param environment read when a command runs, so that `--help` works in a broken one. */
export function createProgram(environment: () => Environment): Command {
  const program = new Command("supalove")
    .description("Many Supabase-compatible projects on one machine.")
    .showHelpAfterError("(supalove --help lists the commands)");

  program
    .command("start")
    .description("run the whole stack here, with PostgreSQL, until Ctrl-C")
    .option("--json", "print one JSON document when ready, and logs on standard error")
    .action(async (options: JsonOption) => {
      // The servers are loaded by the one command that runs them: the others start in a fraction of the time.
      const { start } = await import("./start.ts");
      await start(environment(), options);
    });

  program
    .command("status")
    .description("where the stack of this data folder listens")
    .option("--json", "print JSON")
    .action((options: JsonOption) => {
      const instance = getLocalInstance(environment());
      if (options.json) return printJson(instance);
      console.log(
        formatFields([
          ["GraphQL API", `${instance.controlPlaneUrl}/graphql`],
          ["Gateway", instance.gatewayUrl],
          ["Process", String(instance.pid)],
        ]),
      );
    });

  program
    .command("demo")
    .description("create a project and play a story on it with supabase-js, printing each step")
    .option("--keep", "leave the project there afterwards")
    .option("--json", "print one JSON document instead of the steps")
    .action(async (options: JsonOption & { keep?: boolean }) => {
      const { playDemo } = await import("./demo/demo.ts"); // with supabase-js
      await playDemo(connectToControlPlane(environment()), options);
    });

  const extension = program
    .command("extension")
    .description("extensions for the embedded PostgreSQL, for every project to install");
  extension
    .command("add")
    .description("put an extension into the folder that the embedded PostgreSQL searches; needs no restart")
    .argument("<name>", "vector")
    .option("--from <wheel>", "take the files from a wheel that is here already")
    .action(async (name: string, options: { from?: string }) => {
      const { addExtension } = await import("./extensions.ts");
      console.log(addExtension(name, { folder: `${environment().dataDir}/postgres`, from: options.from }));
    });
  extension
    .command("list")
    .description("what the folder holds")
    .option("--json", "print JSON")
    .action(async (options: JsonOption) => {
      const { listAdded } = await import("./extensions.ts");
      const extensions = listAdded(`${environment().dataDir}/postgres`);
      if (options.json) return printJson(extensions);
      console.log(
        formatTable(
          ["NAME", "VERSION"],
          extensions.map(({ name, version }) => [name, version]),
        ),
      );
    });

  program
    .command("realtime")
    .description("look at what a project's realtime says")
    .command("tail")
    .description("print database changes, or the broadcasts of a channel, until Ctrl-C")
    .argument("<ref>")
    .option("--table <name>", "changes of this table alone: todos, or schema.todos")
    .option("--filter <filter>", "such as room_id=eq.7; with --table")
    .option("--channel <topic>", "broadcasts of this topic instead of database changes")
    .option("--private", "the private channel of that topic")
    .option("--json", "print one JSON document a line")
    .action(async (ref: string, options: TailOptions) => {
      const { tail } = await import("./realtime.ts"); // with supabase-js
      const ending = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());
      await tail(connectToControlPlane(environment()), ref, options, ending.signal);
    });

  program
    .command("advisors")
    .description(
      "what is often wrong in a project's database, and how it is mended; code 1 for findings of level error",
    )
    .argument("<ref>")
    .option("--all", "also what somebody has decided to live with")
    .option("--json", "print one JSON document")
    .action(async (ref: string, options: AdvisorsOptions) => {
      if (await showAdvisories(connectToControlPlane(environment()), ref, options)) process.exitCode = 1;
    });

  program
    .command("mails")
    .description("what a project's auth service has mailed; without a mail server the links to follow are here")
    .argument("<ref>")
    .option("--last <count>", "how many, the newest last", "10")
    .option("--to <address>", "only mails to this address")
    .option("--test <address>", "send a test mail and say what the mail server answers")
    .option("--json", "print one JSON document")
    .action(async (ref: string, { test, ...options }: MailsOptions & { readonly test?: string }) => {
      const api = connectToControlPlane(environment());
      if (test === undefined) await showMails(api, ref, options);
      else await testMail(api, ref, test);
    });

  program
    .command("first-run")
    .description("in the control plane's container: the owner's credentials, as the first start has made them")
    .option("--token", "make an access token for the command line too")
    .option("--json", "print JSON")
    .action(async (options: JsonOption & { token?: boolean }) => {
      const { printFirstRun } = await import("./first-run.ts");
      await printFirstRun(process.env, { isJson: options.json ?? false, withToken: options.token ?? false });
    });

  const images = program.command("images").description("container images of the stack");
  images
    .command("build")
    .description("build them from Debian's packages and the installed npm packages, without a registry")
    .option("--refresh-base", "make the base image anew, with Debian's present security fixes")
    .option("--json", "print JSON")
    .action(async (options: JsonOption & { refreshBase?: boolean }) => {
      const { printBuiltImages } = await import("./images.ts"); // with what builds the dashboard
      await printBuiltImages({ refreshBase: options.refreshBase ?? false, isJson: options.json ?? false });
    });

  images
    .command("list")
    .description("which image runs which service of a project's own containers, SUPALOVE_IMAGES applied")
    .option("--json", "print JSON, with the variables that the official images are given")
    .action(async (options: JsonOption) => {
      const { printImageTable } = await import("./images.ts");
      printImageTable(environment(), options.json ?? false);
    });

  addProjectCommands(program.command("project").description("create, look at and change projects"), environment);
  addStorageCommands(
    program.command("storage").description("files of projects: ss://<ref>/<bucket>/<path>"),
    environment,
  );
  return program;
}

function addStorageCommands(storage: Command, environment: () => Environment): void {
  const connect = () => connectToControlPlane(environment());
  const jobs = (text: string) => Math.max(1, Math.min(32, Number.parseInt(text, 10) || 1));

  storage
    .command("ls")
    .description("list buckets, or what is in one")
    .argument("<address>", "ss://<ref>[/<bucket>[/<prefix>]]")
    .option("-r, --recursive", "everything below, not one level")
    .option("--json", "print JSON")
    .action((address: string, options: JsonOption & { recursive?: boolean }) =>
      listStorage(connect(), address, options),
    );

  storage
    .command("cp")
    .description("copy files to a project, from it, or within it")
    .argument("<from>", "a file or folder here, or ss://…")
    .argument("<to>", "a file or folder here, or ss://…")
    .option("-r, --recursive", "a folder with all that is in it")
    .option("-j, --jobs <number>", "files at a time", jobs, 4)
    .option("-q, --quiet", "print nothing")
    .action((from: string, to: string, options: CopyOptions) => copyStorage(connect(), from, to, options));

  storage
    .command("rm")
    .description("delete an object, or a folder with all that is in it")
    .argument("<address>", "ss://<ref>/<bucket>/<path>")
    .option("-r, --recursive", "everything below")
    .option("-q, --quiet", "print nothing")
    .action((address: string, options: { recursive?: boolean; quiet?: boolean }) =>
      removeStorage(connect(), address, options),
    );

  storage
    .command("move")
    .description("copy a project's bytes between the local disk and the S3 store; may be broken off and run again")
    .argument("<ref>")
    .requiredOption("--to <store>", "s3 or disk")
    .option("-j, --jobs <number>", "objects at a time", jobs, 4)
    .option("--json", "print JSON")
    .action(async (ref: string, options: JsonOption & { to: string; jobs: number }) => {
      const { moveStorage } = await import("./move-storage.ts"); // with the client of S3 stores
      const { dataDir, s3Store } = environment();
      const moved = await moveStorage(connect(), ref, { ...options, directory: join(dataDir, "storage"), s3: s3Store });
      if (options.json) return printJson(moved);
      console.log(`${moved.copied} copied, ${moved.present} there already, ${moved.missing} without bytes`);
    });
}

function addProjectCommands(project: Command, environment: () => Environment): void {
  const connect = () => connectToControlPlane(environment());

  project
    .command("create")
    .description("create a shared project and print its keys")
    .requiredOption("--name <name>", "name of the project")
    .option("--organization <slug>", "when you belong to several")
    .option("--no-admin-user", "begin without users: for applications whose first sign-up becomes the administrator")
    .option("--json", "print JSON")
    .action(async (options: JsonOption & { name: string; organization?: string; adminUser: boolean }) => {
      const api = connect();
      const organizationId = await findOrganizationId(api, options.organization);
      const { ref } = await createProject(api, { organizationId, name: options.name, adminUser: options.adminUser });
      const credentials = await revealCredentials(api, ref);
      if (options.json) return printJson(credentials);
      console.log(`Project ${options.name} is ready.\n`);
      console.log(formatCredentials(credentials));
      console.log(`\n${supabaseSnippet(credentials)}`);
    });

  project
    .command("list")
    .description("list the projects of an organization, newest first")
    .option("--organization <slug>", "when you belong to several")
    .option("--json", "print JSON")
    .action(async (options: JsonOption & { organization?: string }) => {
      const api = connect();
      const projects = await listProjects(api, await findOrganizationId(api, options.organization));
      if (options.json) return printJson(projects);
      if (projects.length === 0) return console.log("No projects yet: supalove project create --name <name>");
      console.log(
        formatTable(
          ["REF", "STATE", "NAME"],
          projects.map(({ ref, state, name }) => [ref, state, name]),
        ),
      );
    });

  project
    .command("show")
    .description("show one project")
    .argument("<ref>")
    .option("--keys", "print its keys too; the audit log notes it")
    .option("--json", "print JSON")
    .action(async (ref: string, options: JsonOption & { keys?: boolean }) => {
      const api = connect();
      const summary = await getProject(api, ref);
      const credentials = options.keys ? await revealCredentials(api, ref) : null;
      if (options.json) return printJson({ ...summary, ...credentials });
      console.log(formatSummary(summary));
      if (credentials) console.log(formatCredentials(credentials));
    });

  project
    .command("sql")
    .description("run SQL as the project's database user")
    .argument("<ref>")
    .argument("<sql>", "one or more statements, or - for standard input")
    .option("--json", "print JSON")
    .action(async (ref: string, sql: string, options: JsonOption) => printSql(connect(), ref, sql, options));

  const lifecycle = (
    verb: string,
    description: string,
    act: (api: ReturnType<typeof connect>, ref: string) => Promise<ProjectSummary>,
  ) =>
    project
      .command(verb)
      .description(description)
      .argument("<ref>")
      .option("--json", "print JSON")
      .action(async (ref: string, options: JsonOption) => {
        const summary = await act(connect(), ref);
        if (options.json) return printJson(summary);
        console.log(`${ref} is ${summary.state.toLowerCase()}`);
      });
  lifecycle("pause", "stop serving a project and close its connections; its data stays", pauseProject);
  lifecycle("resume", "serve a paused project again", resumeProject);

  project
    .command("delete")
    .description("delete a project with its database, for good")
    .argument("<ref>")
    .option("--force", "after a deletion has failed: leave behind what its cluster, out of reach, still holds")
    .option("--json", "print JSON")
    .action(async (ref: string, options: JsonOption & { force?: boolean }) => {
      await deleteProject(connect(), ref, options.force ?? false);
      if (options.json) return printJson({ ref, state: "DELETED" });
      console.log(`${ref} is deleted`);
    });
}

function formatSummary({ ref, name, state, stateReason, url }: ProjectSummary): string {
  const fields: [string, string][] = [
    ["Ref", ref],
    ["Name", name],
    ["State", stateReason ? `${state} (${stateReason})` : state],
    ["URL", url],
  ];
  return formatFields(fields);
}

function formatCredentials(credentials: Awaited<ReturnType<typeof revealCredentials>>): string {
  return formatFields([
    ["URL", credentials.url],
    ["anon key", credentials.anonKey],
    ["service_role key", credentials.serviceRoleKey],
    ["publishable key", credentials.publishableKey],
    ["secret key", credentials.secretKey],
    ["JWT secret", credentials.jwtSecret],
    ["Database", credentials.databaseUrl],
  ]);
}
