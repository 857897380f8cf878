/**
 * The story of `supalove demo`: two people and an outsider on one project, told through the unmodified supabase-js.
 * Each step does one thing and checks what it promises; the first broken promise ends the story.
 */
import { createClient, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { WebSocket } from "ws";

export interface StoryProject {
  readonly url: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
}

export interface StoryStep {
  readonly title: string;
  /** What came out, in a few words. @throws {Error} when the promise of the title does not hold. */
  run(): Promise<string>;
}

/** Tables with row-level security, as a person would write them in the SQL editor. */
export const STORY_SQL = `
create table public.authors (
  id uuid primary key default auth.uid() references auth.users on delete cascade,
  name text not null
);
create table public.notes (
  id bigint generated always as identity primary key,
  author_id uuid not null default auth.uid() references public.authors on delete cascade,
  slug text not null unique,
  body text not null,
  stars int not null default 0
);
alter table public.authors enable row level security;
alter table public.notes enable row level security;
create policy "authors see themselves" on public.authors for all to authenticated
  using (id = (select auth.uid())) with check (id = (select auth.uid()));
create policy "authors own their notes" on public.notes for all to authenticated
  using (author_id = (select auth.uid())) with check (author_id = (select auth.uid()));
create policy "files belong to who uploads them" on storage.objects for all to authenticated
  using (bucket_id = 'drafts' and owner_id = (select auth.uid()::text))
  with check (bucket_id = 'drafts' and owner_id = (select auth.uid()::text));
create function public.total_stars() returns bigint language sql stable
  as $$ select coalesce(sum(stars), 0)::bigint from public.notes $$;
alter publication supabase_realtime add table public.notes;
`;

const PASSWORD = "correct horse battery staple";

/** @param runSql runs SQL as the project's database user. */
export function story(project: StoryProject, runSql: (sql: string) => Promise<void>): readonly StoryStep[] {
  const client = (key: string) =>
    createClient(project.url, key, {
      auth: { persistSession: false, autoRefreshToken: false },
      realtime: { transport: WebSocket as never },
    });
  const anon = client(project.anonKey);
  const service = client(project.serviceRoleKey);
  const ada = client(project.anonKey);
  const grace = client(project.anonKey);

  return [
    {
      title: "create two tables with policies over the SQL runner",
      async run() {
        await runSql(STORY_SQL);
        await untilTablesAreServed(service);
        return "authors, notes, total_stars()";
      },
    },
    { title: "sign up Ada", run: () => signUp(ada, "ada@example.com", "Ada") },
    { title: "sign up Grace", run: () => signUp(grace, "grace@example.com", "Grace") },
    {
      title: "Ada writes two notes",
      async run() {
        const notes = [
          { slug: "engine", body: "The Analytical Engine weaves algebraic patterns.", stars: 3 },
          { slug: "loop", body: "A cycle of operations.", stars: 1 },
        ];
        const rows = orThrow(await ada.from("notes").insert(notes).select("slug"));
        return rows.map((row) => row.slug).join(", ");
      },
    },
    {
      title: "Ada uploads a file that is hers alone, and reads it back",
      async run() {
        orThrow(await service.storage.createBucket("drafts"));
        orThrow(
          await ada.storage
            .from("drafts")
            .upload("plan.txt", "Weave algebraic patterns.", { contentType: "text/plain" }),
        );
        const file = orThrow(await ada.storage.from("drafts").download("plan.txt"));
        expectEqual(await file.text(), "Weave algebraic patterns.");
        return "drafts/plan.txt";
      },
    },
    {
      title: "Grace neither sees nor replaces it",
      async run() {
        expectEqual(orThrow(await grace.storage.from("drafts").list()), []);
        const { error } = await grace.storage.from("drafts").download("plan.txt");
        if (!error) throw new Error("Grace has read a file of Ada's");
        const replaced = await grace.storage.from("drafts").upload("plan.txt", "mine", { upsert: true });
        if (!replaced.error) throw new Error("Grace has replaced a file of Ada's");
        return "refused by the policy";
      },
    },
    {
      title: "Ada reads them with their author embedded",
      async run() {
        const rows = orThrow(await ada.from("notes").select("slug, authors(name)").order("slug"));
        expectEqual(rows, [
          { slug: "engine", authors: { name: "Ada" } },
          { slug: "loop", authors: { name: "Ada" } },
        ]);
        return JSON.stringify(rows[0]);
      },
    },
    {
      title: "Grace sees none of them",
      async run() {
        expectEqual(orThrow(await grace.from("notes").select()), []);
        return "0 rows";
      },
    },
    {
      title: "a visitor with the anon key sees nothing",
      async run() {
        expectEqual(orThrow(await anon.from("notes").select()), []);
        return "0 rows";
      },
    },
    {
      title: "the service role sees everything",
      async run() {
        const { count, error } = await service.from("notes").select("*", { count: "exact", head: true });
        if (error) throw new Error(error.message);
        expectEqual(count, 2);
        return `${count} rows`;
      },
    },
    {
      title: "Ada upserts a note by its slug",
      async run() {
        const note = { slug: "loop", body: "A cycle of cycles.", stars: 2 };
        const row = orThrow(
          await ada.from("notes").upsert(note, { onConflict: "slug" }).select("body, stars").single(),
        );
        expectEqual(row, { body: "A cycle of cycles.", stars: 2 });
        return JSON.stringify(row);
      },
    },
    {
      title: "Ada calls a function",
      async run() {
        const stars = orThrow(await ada.rpc("total_stars"));
        expectEqual(stars, 5);
        return `${stars} stars`;
      },
    },
    {
      title: "Ada hears of her new note from the database",
      async run() {
        const channel = ada.channel("notes");
        const heard = new Promise<string>((resolve) => {
          channel.on("postgres_changes", { event: "INSERT", schema: "public", table: "notes" }, ({ new: row }) =>
            resolve(String(row.slug)),
          );
        });
        const following = new Promise<void>((resolve, reject) => {
          channel.on("system", {}, ({ status, message }) => (status === "ok" ? resolve() : reject(new Error(message))));
        });
        await subscribed(channel);
        await within(following, "the subscription");
        orThrow(await ada.from("notes").insert({ slug: "echo", body: "It comes back." }).select());
        expectEqual(await within(heard, "the change"), "echo");
        await ada.removeChannel(channel);
        return "INSERT echo";
      },
    },
    {
      title: "Grace's broadcast reaches Ada",
      async run() {
        const [hers, his] = [grace.channel("salon"), ada.channel("salon")];
        const heard = new Promise<unknown>((resolve) => {
          his.on("broadcast", { event: "greeting" }, ({ payload }) => resolve(payload.text));
        });
        await Promise.all([subscribed(hers), subscribed(his)]);
        await hers.send({ type: "broadcast", event: "greeting", payload: { text: "good evening" } });
        expectEqual(await within(heard, "the broadcast"), "good evening");
        await Promise.all([grace.removeChannel(hers), ada.removeChannel(his)]);
        // Else supabase-js keeps both sockets, and this process, for the better part of a minute.
        await Promise.all([grace.realtime.disconnect(), ada.realtime.disconnect()]);
        return "good evening";
      },
    },
    {
      title: "Ada refreshes her session",
      async run() {
        const before = (await ada.auth.getSession()).data.session?.refresh_token;
        const { data, error } = await ada.auth.refreshSession();
        if (error) throw error;
        if (!data.session || data.session.refresh_token === before)
          throw new Error("the refresh token was not rotated");
        return "a new pair of tokens";
      },
    },
    {
      title: "Ada signs out and is a stranger again",
      async run() {
        const { error } = await ada.auth.signOut();
        if (error) throw error;
        expectEqual(orThrow(await ada.from("notes").select()), []);
        return "0 rows";
      },
    },
    {
      title: "the administrator lists the users",
      async run() {
        const { data, error } = await service.auth.admin.listUsers();
        if (error) throw error;
        const emails = data.users.map((user) => user.email ?? "");
        for (const email of ["ada@example.com", "grace@example.com"]) {
          if (!emails.includes(email)) throw new Error(`${email} is missing from ${emails.join(", ")}`);
        }
        return emails.join(", ");
      },
    },
  ];
}

async function signUp(client: SupabaseClient, email: string, name: string): Promise<string> {
  const { data, error } = await client.auth.signUp({ email, password: PASSWORD });
  if (error) throw error;
  if (!data.session) throw new Error("the sign-up gave no session: is confirmation by mail on?");
  orThrow(await client.from("authors").insert({ name }).select());
  return data.user?.id ?? "";
}

async function subscribed(channel: RealtimeChannel): Promise<void> {
  const joined = new Promise<void>((resolve, reject) => {
    channel.subscribe((status, error) => {
      if (status === "SUBSCRIBED") resolve();
      else if (status !== "CLOSED") reject(error ?? new Error(status));
    });
  });
  await within(joined, "the channel");
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ten seconds`)), 10_000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** DDL reaches the REST service by a notification: a moment later the tables are there. */
async function untilTablesAreServed(service: SupabaseClient): Promise<void> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    const { error } = await service.from("notes").select("id").limit(1);
    if (!error) return;
    if (Date.now() > deadline) throw new Error(`the new tables are not served: ${error.message}`);
    await new Promise((resume) => setTimeout(resume, 25));
  }
}

function orThrow<T>(result: { data: T; error: { message: string } | null }): NonNullable<T> {
  if (result.error) throw new Error(result.error.message);
  if (result.data === null || result.data === undefined) throw new Error("no data");
  return result.data;
}

function expectEqual(actual: unknown, expected: unknown): void {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (got !== wanted) throw new Error(`expected ${wanted}, got ${got}`);
}
