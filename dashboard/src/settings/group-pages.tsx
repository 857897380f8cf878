/** A page for each subject of a project's settings, in the words of the services that read them. */
import type { ReactNode } from "react";
import { Page, Section } from "../shell/page.tsx";
import { NeedsRole, useProject } from "../shell/project-layout.tsx";
import { CustomHosts } from "./custom-hosts.tsx";
import {
  UpdateAuthSettingsDocument,
  UpdateGatewaySettingsDocument,
  UpdateLimitsDocument,
  UpdateRealtimeSettingsDocument,
  UpdateRestSettingsDocument,
  UpdateStorageSettingsDocument,
} from "./generated/operations.ts";
import { SettingsForm, type SettingsFormProps } from "./settings-form.tsx";

/** The documents name their input types; the form makes the values from what the API says of each setting. */
const UPDATES = {
  REST: UpdateRestSettingsDocument,
  AUTH: UpdateAuthSettingsDocument,
  STORAGE: UpdateStorageSettingsDocument,
  REALTIME: UpdateRealtimeSettingsDocument,
  LIMITS: UpdateLimitsDocument,
  GATEWAY: UpdateGatewaySettingsDocument,
} as Readonly<Record<SettingsFormProps["group"], unknown>> as Readonly<
  Record<SettingsFormProps["group"], SettingsFormProps["update"]>
>;

function Form({ group, names }: Omit<SettingsFormProps, "update">) {
  return <SettingsForm group={group} update={UPDATES[group]} {...(names ? { names } : {})} />;
}

function SettingsPage({
  title,
  lead,
  children,
}: {
  readonly title: string;
  readonly lead: string;
  readonly children: ReactNode;
}) {
  const { name } = useProject();
  return (
    <Page title={title} documentTitle={`${title} of ${name}`} lead={lead}>
      <NeedsRole least="DEVELOPER" what="settings">
        {children}
      </NeedsRole>
    </Page>
  );
}

export function ApiSettingsPage() {
  return (
    <SettingsPage title="Data API" lead="How the REST service serves the database. The words are PostgREST’s.">
      <Form group="REST" />
    </SettingsPage>
  );
}

export function GatewaySettingsPage() {
  return (
    <SettingsPage title="Gateway" lead="How requests are let in: keys, origins of pages, host names of your own.">
      <Form group="GATEWAY" />
      <CustomHosts />
    </SettingsPage>
  );
}

export function LimitsPage() {
  return (
    <SettingsPage title="Limits" lead="What the project may use of the processes that all projects share.">
      <Form group="LIMITS" />
    </SettingsPage>
  );
}

export function RealtimeSettingsPage() {
  return (
    <SettingsPage title="Realtime" lead="What clients of the realtime service may do.">
      <Form group="REALTIME" />
    </SettingsPage>
  );
}

export function StorageSettingsPage() {
  return (
    <SettingsPage title="Storage" lead="What the storage service takes.">
      <Form group="STORAGE" />
    </SettingsPage>
  );
}

const AUTH_SECTIONS = [
  [
    "Sign-up and sign-in",
    ["disableSignup", "emailEnabled", "phoneEnabled", "anonymousUsersEnabled", "manualLinkingEnabled"],
  ],
  ["Addresses", ["siteUrl", "uriAllowList"]],
  [
    "Confirmation and mails",
    [
      "mailerAutoconfirm",
      "smsAutoconfirm",
      "mailerSecureEmailChangeEnabled",
      "mailerOtpExpSeconds",
      "mailerOtpLength",
      "smtpMaxFrequencySeconds",
    ],
  ],
  [
    "Passwords",
    [
      "passwordMinLength",
      "passwordRequiredCharacters",
      "updatePasswordRequireReauthentication",
      "updatePasswordRequireCurrentPassword",
    ],
  ],
  [
    "Sessions",
    [
      "jwtExpSeconds",
      "refreshTokenRotationEnabled",
      "refreshTokenReuseIntervalSeconds",
      "sessionsTimeboxSeconds",
      "sessionsInactivityTimeoutSeconds",
      "sessionsSinglePerUser",
    ],
  ],
  [
    "Rate limits",
    [
      "rateLimitsEnabled",
      "rateLimitOtp",
      "rateLimitTokenRefresh",
      "rateLimitVerify",
      "rateLimitAnonymousUsers",
      "rateLimitEmailSent",
    ],
  ],
  ["Audit", ["auditLogEnabled"]],
] as const;

/** Every setting of the group stands in one section: a test compares the two. */
export const AUTH_SETTING_NAMES: readonly string[] = AUTH_SECTIONS.flatMap(([, names]) => names);

export function AuthSettingsPage() {
  return (
    <SettingsPage
      title="Auth"
      lead="How users of the project sign up and in. The words are GoTrue’s. Each section saves by itself."
    >
      {AUTH_SECTIONS.map(([title, names]) => (
        <Section key={title} title={title}>
          <Form group="AUTH" names={names} />
        </Section>
      ))}
    </SettingsPage>
  );
}
