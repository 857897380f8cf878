/** The first supabase-js program of a project: works when pasted into a file of a folder where supabase-js is installed. */
export function supabaseSnippet(project: { readonly url: string; readonly anonKey: string }): string {
  return [
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
