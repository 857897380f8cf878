/** The keys that an application needs: public ones to be seen, the others as dots until somebody asks. */
import { useMutation } from "../graphql/hooks.ts";
import { type Role, roleAllows } from "../shell/viewer.ts";
import { Copyable, SecretField } from "../ui/copy.tsx";
import { KeyValue, Name } from "../ui/parts.tsx";
import { type ProjectAccessQuery, RevealApiKeyDocument } from "./generated/operations.ts";

export type ApiKey = ProjectAccessQuery["project"]["apiKeys"][number];

/** `anon`, `service_role` for the old pair; the new kinds by their name. */
export function keyTitle({ kind, role, name }: Pick<ApiKey, "kind" | "role" | "name">): string {
  if (kind === "LEGACY") return role === "ANON" ? "anon" : "service_role";
  return `${kind === "PUBLISHABLE" ? "Publishable" : "Secret"} · ${name}`;
}

export function PublicKeys({
  projectRef,
  keys,
  viewerRole,
}: {
  readonly projectRef: string;
  readonly keys: readonly ApiKey[];
  readonly viewerRole: Role;
}) {
  const usable = keys.filter(({ revokedAt }) => !revokedAt);
  return (
    <KeyValue
      rows={usable.map((key) => [
        keyTitle(key),
        <KeyValueCell key={key.id} projectRef={projectRef} apiKey={key} viewerRole={viewerRole} />,
      ])}
    />
  );
}

export function KeyValueCell({
  projectRef,
  apiKey,
  viewerRole,
}: {
  readonly projectRef: string;
  readonly apiKey: ApiKey;
  readonly viewerRole: Role;
}) {
  const reveal = useMutation(RevealApiKeyDocument);
  const title = keyTitle(apiKey);
  if (apiKey.key) return <Copyable name={`${title} key`} value={apiKey.key} />;
  return (
    <SecretField
      name={`${title} key`}
      prefix={apiKey.kind === "LEGACY" ? null : <Name>{apiKey.prefix}</Name>}
      hiddenBecause={roleAllows(viewerRole, "ADMIN") ? undefined : "Only admins reveal it."}
      reveal={async () => {
        const { data, error } = await reveal.run({ ref: projectRef, id: apiKey.id });
        return error ? { data: null, error } : { data: data.revealApiKey, error: null };
      }}
    />
  );
}
