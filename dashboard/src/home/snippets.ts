/** What people paste into their programs. Pure; a password stands in none of them until it was asked for. */

export interface SnippetInput {
  readonly url: string;
  /** A public key: it may be in a page or an app. */
  readonly publicKey: string;
  readonly database: {
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly user: string;
  } | null;
  /** Null shows a placeholder. */
  readonly databaseUrl: string | null;
}

export const PASSWORD_PLACEHOLDER = "[YOUR-PASSWORD]";

export function supabaseJs({ url, publicKey }: SnippetInput): string {
  return `import { createClient } from "@supabase/supabase-js";

const supabase = createClient(
  ${JSON.stringify(url)},
  ${JSON.stringify(publicKey)},
);

const { data, error } = await supabase.from("your_table").select("*");
`;
}

export function dotEnv(input: SnippetInput): string {
  return `SUPABASE_URL=${input.url}
SUPABASE_ANON_KEY=${input.publicKey}
DATABASE_URL=${connectionString(input)}
`;
}

export function restCall({ url, publicKey }: SnippetInput): string {
  return `curl "${url}/rest/v1/your_table?select=*" \\
  -H "apikey: ${publicKey}"
`;
}

export function connectionString({ database, databaseUrl }: SnippetInput): string {
  if (databaseUrl !== null) return databaseUrl;
  if (!database) return "";
  const { user, host, port, name } = database;
  return `postgresql://${user}:${PASSWORD_PLACEHOLDER}@${host}:${port}/${name}`;
}

export function psql(input: SnippetInput): string {
  return `psql "${connectionString(input)}"
`;
}

export function prisma(input: SnippetInput): string {
  return `# .env
DATABASE_URL="${connectionString(input)}"

# prisma/schema.prisma
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
`;
}

export function drizzle(input: SnippetInput): string {
  return `// DATABASE_URL=${connectionString(input)}
import { drizzle } from "drizzle-orm/node-postgres";

export const db = drizzle(process.env.DATABASE_URL);
`;
}

export function sqlAlchemy(input: SnippetInput): string {
  return `from sqlalchemy import create_engine

engine = create_engine("${connectionString(input).replace(/^postgresql:/, "postgresql+psycopg:")}")
`;
}
