import { type AuthorizationTable, members, onProject, type ReachedBy, type World } from "../testing/authorization.ts";
import { generateSigningKey } from "./signing-keys.ts";

/** Gives the project a standby key. @returns its id. */
async function withStandbyKey({ database, services, ref }: World): Promise<string> {
  const key = await generateSigningKey(services.now());
  await services.vault.put(database, ref, "JWT_SIGNING_KEYS", JSON.stringify([key]), { system: true });
  return key.kid;
}

export const authorization: AuthorizationTable = {
  "Project.signingKeys": { rule: members("developer"), document: onProject("signingKeys { kid state publicJwk }") },
  "Mutation.rotateJwtSecret": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { rotateJwtSecret(ref: "${ref}") { ref } }`,
  },
  "Mutation.createSigningKey": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { createSigningKey(ref: "${ref}") { signingKeys { kid } } }`,
  },
  "Mutation.rotateSigningKey": {
    rule: members("admin"),
    document: async (world) => {
      await withStandbyKey(world);
      return `mutation { rotateSigningKey(ref: "${world.ref}") { signingKeys { state } } }`;
    },
  },
  "Mutation.removeSigningKey": {
    rule: members("admin"),
    document: async (world) =>
      `mutation { removeSigningKey(ref: "${world.ref}", kid: "${await withStandbyKey(world)}") { signingKeys { kid } } }`,
  },
};

export const reachedBy: ReachedBy = {
  SigningKey: "Project.signingKeys",
};
