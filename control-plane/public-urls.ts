/** The addresses of a project, made from where the gateway is reachable. */
export interface PublicUrls {
  /** Such as `http://localhost:8083/projects/<ref>`, no trailing slash: works wherever the gateway does. */
  projectUrl(ref: string): string;
  /** Such as `http://<ref>.localhost:8083`: an origin of the project's own. */
  hostUrl(ref: string): string;
  /** As {@link projectUrl}, from where the control plane stands: for what it asks a project's services itself. */
  internalProjectUrl(ref: string): string;
}

/**
 * @param gatewayUrl Where clients reach the gateway, such as `https://api.example.com`; a path is kept.
 * @param internalGatewayUrl Where the control plane reaches it, which in containers is another place.
 * @param baseDomain Domain under which every project has a host label, such as `localhost` or `projects.example.com`.
 */
export function createPublicUrls(
  gatewayUrl: string,
  baseDomain: string,
  internalGatewayUrl: string = gatewayUrl,
): PublicUrls {
  const gateway = new URL(gatewayUrl);
  const base = gateway.href.replace(/\/+$/, "");
  const internalBase = new URL(internalGatewayUrl).href.replace(/\/+$/, "");
  const port = gateway.port === "" ? "" : `:${gateway.port}`;
  return {
    projectUrl: (ref) => `${base}/projects/${ref}`,
    internalProjectUrl: (ref) => `${internalBase}/projects/${ref}`,
    hostUrl: (ref) => `${gateway.protocol}//${ref}.${baseDomain}${port}`,
  };
}
