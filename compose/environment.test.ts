import { resolve } from "node:path";
import { expect, test } from "vitest";
import { parseEnvironment } from "./environment.ts";

test("an empty environment gives the documented ports and a data folder below the current one", () => {
  const environment = parseEnvironment({});
  expect(environment).toMatchObject({ controlPlanePort: 8000, gatewayPort: 8083, postgresPort: 5435 });
  expect(environment.dataDir).toBe(resolve(".supalove"));
});

test("every problem is reported at once, without the values", () => {
  const parse = () => parseEnvironment({ GATEWAY_PORT: "eighty", DATABASE_URL: "mysql://root:hunter2@db/x" });
  expect(parse).toThrow(/GATEWAY_PORT/);
  expect(parse).toThrow(/DATABASE_URL: must be a postgresql:\/\/ URL/);
  expect(parse).not.toThrow(/hunter2/);
});

test("what an operator may choose for the control plane is passed on", () => {
  const { controlPlane } = parseEnvironment({
    SUPALOVE_SECURE_COOKIES: "true",
    SUPALOVE_TRUSTED_PROXIES: "10.0.0.0/8, ::1",
    SUPALOVE_OPEN_SIGNUP: "true",
    SUPALOVE_DASHBOARD_ORIGINS: "https://dashboard.example.com",
  });
  expect(controlPlane).toMatchObject({
    secureCookies: true,
    trustedProxies: ["10.0.0.0/8", "::1"],
    openSignUp: true,
    dashboardOrigins: ["https://dashboard.example.com"],
  });
});

test("an empty variable counts as unset", () => {
  expect(parseEnvironment({ GATEWAY_PORT: "" }).gatewayPort).toBe(8083);
});
