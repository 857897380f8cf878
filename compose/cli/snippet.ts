/**
 * The first supabase-js program of a project. It works when pasted into a file of this folder, where supabase-js is
 * installed; `npx node` is the Node 22 of the project, since supabase-js wants a WebSocket that Node 20 has not got.
 */
export function supabaseSnippet(project: { readonly url: string; readonly anonKey: string }): string {
  return [
    `// Save as first.mjs and run: npx node first.mjs`,
    `import { createClient } from "@supabase/supabase-js";`,
    ``,
    `const supabase = createClient(`,
    `  ${JSON.stringify(project.url)},`,
    `  ${JSON.stringify(project.anonKey)},`,
    `);`,
    `const { data, error } = await supabase.auth.signUp({ email: "ada@example.com", password: "correct horse" });`,
    `console.log(error ?? data.user);`,
  ].join("\n");
}
