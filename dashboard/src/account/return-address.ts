/**
 * Where to go after signing in: only an address of the dashboard itself, or a link could send people elsewhere. Pure.
 */
export function returnAddress(to: string | undefined): string {
  if (to === undefined || !to.startsWith("/") || /^\/[/\\]/.test(to) || /[\u0000-\u001f\\]/.test(to))
    return "/projects";
  return to;
}
