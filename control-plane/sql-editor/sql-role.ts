/** The roles that SQL and rows can be read and changed as. */
import { builder } from "../builder.ts";

export const SqlRoleEnum = builder.enumType("SqlRole", {
  values: {
    USER: { value: "user", description: "The owner of the project's database." },
    ANON: { value: "anon" },
    AUTHENTICATED: { value: "authenticated" },
    SERVICE_ROLE: { value: "service_role" },
  } as const,
});
