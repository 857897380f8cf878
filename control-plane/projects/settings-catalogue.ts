/** Every setting that a project may change. Bytes, seconds and counts are whole numbers. */

import { z } from "zod";
import type {
  AuthSettings,
  ProjectLimits,
  RealtimeSettings,
  RestSettings,
  StorageSettings,
} from "../client/config-snapshot.ts";
import { limitMaxima, type Maxima } from "../client/maxima.ts";
import {
  choice,
  type Fields,
  flag,
  integer,
  optionalInteger,
  optionalText,
  type SettingsOf,
  text,
  textMap,
  texts,
} from "./settings-field.ts";
import {
  appSettings,
  corsOrigin,
  customHost,
  exposedSchemaName,
  functionName,
  hoistedSettingName,
  hostName,
  mailAddress,
  mailTemplate,
  mediaTypePattern,
  redirectGlob,
  roleClaimKey,
  schemaName,
  shortText,
  siteUrl,
} from "./settings-rules.ts";

const MIB = 1024 * 1024;
const DAY_SECONDS = 24 * 3600;
const MAX_INT = 2 ** 31 - 1;
const MAX_TOTAL_BYTES = 2 ** 50;
/** Every process that serves the project keeps them in memory. */
const MAX_MAIL_CONTENT = 20_000;

const mailSubject = (of: string) =>
  optionalText(mailTemplate(false, 200), `Subject of mails ${of}, a template; null for the built-in one.`);
const mailContent = (of: string) =>
  optionalText(
    mailTemplate(true, MAX_MAIL_CONTENT),
    `HTML text of mails ${of}, a template; null for the built-in one.`,
  );

/**
 * Names and meanings follow PostgREST's configuration keys.
 * @param maxima The most that this installation gives a project.
 */
export const restFields = (maxima: Maxima) =>
  ({
    schemas: texts(
      ["public", "graphql_public"],
      exposedSchemaName,
      { min: 1, max: 50 },
      "Exposed schemas; the first is the default one (db-schemas).",
    ),
    extraSearchPath: texts(
      ["public", "extensions"],
      schemaName,
      { max: 50 },
      "Schemas searched after the active one (db-extra-search-path).",
    ),
    maxRows: optionalInteger(
      Math.min(1000, maxima.rows),
      { min: 0, max: maxima.rows },
      "Most rows of one response; null for as many as fit into the largest response that the installation allows (db-max-rows).",
    ),
    aggregatesEnabled: flag(false, "Whether requests may use sum(), avg() and the like (db-aggregates-enabled)."),
    preRequest: optionalText(
      functionName,
      "Function called before each request, such as public.check_request (db-pre-request).",
    ),
    rootSpec: optionalText(
      functionName,
      "Function that answers at the root in place of the OpenAPI document (db-root-spec).",
    ),
    openApiMode: choice(
      "follow-privileges",
      ["follow-privileges", "ignore-privileges", "disabled"],
      "What the OpenAPI document at the root shows (openapi-mode).",
    ),
    openApiSecurityActive: flag(
      false,
      "Whether the OpenAPI document has a security section (openapi-security-active).",
    ),
    planEnabled: flag(false, "Whether requests may ask for the execution plan; for debugging (db-plan-enabled)."),
    txEnd: choice(
      "commit",
      ["commit", "commit-allow-override", "rollback", "rollback-allow-override"],
      "How a request's transaction ends, and whether `Prefer: tx` may say otherwise (db-tx-end).",
    ),
    jwtAudience: optionalText(
      z.string().min(1, "must not be empty").max(200, "must be at most 200 characters long"),
      "The `aud` that tokens must carry; null accepts any (jwt-aud).",
    ),
    jwtRoleClaimKey: text("$.role", roleClaimKey, "Where a token says which role it acts as (jwt-role-claim-key)."),
    hoistedTxSettings: texts(
      ["statement_timeout", "plan_filter.statement_cost_limit", "default_transaction_isolation"],
      hoistedSettingName,
      { max: 50 },
      "Settings of a called function that hold for the whole transaction (db-hoisted-tx-settings).",
    ),
    serverTimingEnabled: flag(false, "Whether responses carry a Server-Timing header (server-timing-enabled)."),
    urlUseLegacyTargetNames: flag(
      true,
      "Whether a filter may name an embedded relation that has an alias; deprecated (url-use-legacy-target-names).",
    ),
    safeUpdate: flag(
      true,
      "Whether PATCH and DELETE need a condition, so that no request changes a whole table by mistake (safeupdate).",
    ),
    clientErrorVerbosity: choice(
      "verbose",
      ["verbose", "minimal"],
      "Whether errors carry details and hints (client-error-verbosity).",
    ),
    appSettings: textMap(appSettings, "Texts that SQL reads by current_setting('app.settings.<name>')."),
  }) satisfies Fields;

/** Names and meanings follow GoTrue's environment. */
export const AUTH_FIELDS = {
  siteUrl: text("http://localhost:3000", siteUrl, "Where users land after confirming or signing in (SITE_URL)."),
  uriAllowList: texts(
    [],
    redirectGlob,
    { max: 100 },
    "Further URLs that links may redirect to; globs (URI_ALLOW_LIST).",
  ),
  disableSignup: flag(false, "Whether only invited users and those made by an admin exist (DISABLE_SIGNUP)."),
  jwtExpSeconds: integer(3600, { min: 5, max: 7 * DAY_SECONDS }, "Life of an access token in seconds (JWT_EXP)."),
  emailEnabled: flag(true, "Sign-in by e-mail address (EXTERNAL_EMAIL_ENABLED)."),
  phoneEnabled: flag(false, "Sign-in by phone number (EXTERNAL_PHONE_ENABLED)."),
  anonymousUsersEnabled: flag(false, "Sign-in without credentials (EXTERNAL_ANONYMOUS_USERS_ENABLED)."),
  mailerAutoconfirm: flag(
    true,
    "Whether a new address counts as confirmed at once (MAILER_AUTOCONFIRM). On by default: a new project has no mail server, so a confirmation would only be seen by whoever reads its mails.",
  ),
  smsAutoconfirm: flag(false, "Whether a new phone number counts as confirmed at once (SMS_AUTOCONFIRM)."),
  mailerSecureEmailChangeEnabled: flag(
    true,
    "Whether both addresses confirm a change of address (MAILER_SECURE_EMAIL_CHANGE_ENABLED).",
  ),
  mailerOtpExpSeconds: integer(
    3600,
    { min: 1, max: DAY_SECONDS },
    "Life of a code or link in a mail, in seconds (MAILER_OTP_EXP).",
  ),
  mailerOtpLength: integer(6, { min: 6, max: 10 }, "Digits of a code in a mail (MAILER_OTP_LENGTH)."),
  passwordMinLength: integer(6, { min: 6, max: 72 }, "Shortest password, in characters (PASSWORD_MIN_LENGTH)."),
  passwordRequiredCharacters: texts(
    [],
    z.string().min(1, "must not be empty").max(200, "must be at most 200 characters long"),
    { max: 10 },
    "Sets of characters; a password needs one of each (PASSWORD_REQUIRED_CHARACTERS).",
  ),
  refreshTokenRotationEnabled: flag(
    true,
    "Whether a refresh token works once (SECURITY_REFRESH_TOKEN_ROTATION_ENABLED).",
  ),
  refreshTokenReuseIntervalSeconds: integer(
    10,
    { min: 0, max: 300 },
    "Seconds in which a used refresh token still works, for clients that race (SECURITY_REFRESH_TOKEN_REUSE_INTERVAL).",
  ),
  sessionsTimeboxSeconds: optionalInteger(
    null,
    { min: 1, max: MAX_INT },
    "Longest life of a session in seconds; null for no limit (SESSIONS_TIMEBOX).",
  ),
  sessionsInactivityTimeoutSeconds: optionalInteger(
    null,
    { min: 1, max: MAX_INT },
    "Seconds without a refresh after which a session ends; null for never (SESSIONS_INACTIVITY_TIMEOUT).",
  ),
  sessionsSinglePerUser: flag(false, "Whether a sign-in ends the user's other sessions (SESSIONS_SINGLE_PER_USER)."),
  updatePasswordRequireReauthentication: flag(
    false,
    "Whether a password change needs a recent sign-in (SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION).",
  ),
  updatePasswordRequireCurrentPassword: flag(
    false,
    "Whether a password change needs the current password (SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD).",
  ),
  manualLinkingEnabled: flag(false, "Whether users may link further identities (SECURITY_MANUAL_LINKING_ENABLED)."),
  auditLogEnabled: flag(true, "Whether auth.audit_log_entries is written."),
  rateLimitsEnabled: flag(true, "Whether requests are limited by client address."),
  rateLimitOtp: integer(
    30,
    { min: 1, max: 1_000_000 },
    "Sign-ups, mails and codes by address in 5 minutes (RATE_LIMIT_OTP).",
  ),
  rateLimitTokenRefresh: integer(
    150,
    { min: 1, max: 1_000_000 },
    "Sign-ins and refreshes by address in 5 minutes (RATE_LIMIT_TOKEN_REFRESH).",
  ),
  rateLimitVerify: integer(
    30,
    { min: 1, max: 1_000_000 },
    "Verifications by address in 5 minutes (RATE_LIMIT_VERIFY).",
  ),
  rateLimitAnonymousUsers: integer(
    30,
    { min: 1, max: 1_000_000 },
    "Anonymous sign-ins by address in an hour (RATE_LIMIT_ANONYMOUS_USERS).",
  ),
  rateLimitEmailSent: integer(
    30,
    { min: 0, max: 1_000_000 },
    "Mails of the whole project in an hour; 0 sends none (RATE_LIMIT_EMAIL_SENT).",
  ),
  smtpMaxFrequencySeconds: integer(
    60,
    { min: 0, max: DAY_SECONDS },
    "Seconds between two mails of one kind to one user (SMTP_MAX_FREQUENCY).",
  ),
  smtpHost: optionalText(
    hostName,
    "Mail server (SMTP_HOST). Null: mails are not sent but kept where `sentMails` shows them. Its password is set by setSmtpPassword.",
  ),
  smtpPort: integer(
    587,
    { min: 1, max: 65_535 },
    "Port of the mail server; 465 speaks TLS from the first byte, all others by STARTTLS (SMTP_PORT).",
  ),
  smtpUser: optionalText(
    shortText(320),
    "Login at the mail server; null for none. With one, the server must offer TLS (SMTP_USER).",
  ),
  smtpAdminEmail: optionalText(mailAddress, "Address that mails come from (SMTP_ADMIN_EMAIL)."),
  smtpSenderName: optionalText(shortText(100), "Name that mails come from (SMTP_SENDER_NAME)."),
  mailerSubjectsConfirmation: mailSubject("of sign-ups (MAILER_SUBJECTS_CONFIRMATION)"),
  mailerSubjectsInvite: mailSubject("of invitations (MAILER_SUBJECTS_INVITE)"),
  mailerSubjectsRecovery: mailSubject("of password resets (MAILER_SUBJECTS_RECOVERY)"),
  mailerSubjectsMagicLink: mailSubject("of sign-in links (MAILER_SUBJECTS_MAGIC_LINK)"),
  mailerSubjectsEmailChange: mailSubject("of changes of address (MAILER_SUBJECTS_EMAIL_CHANGE)"),
  mailerSubjectsReauthentication: mailSubject("of confirmation codes (MAILER_SUBJECTS_REAUTHENTICATION)"),
  mailerTemplatesConfirmationContent: mailContent("of sign-ups (MAILER_TEMPLATES_CONFIRMATION)"),
  mailerTemplatesInviteContent: mailContent("of invitations (MAILER_TEMPLATES_INVITE)"),
  mailerTemplatesRecoveryContent: mailContent("of password resets (MAILER_TEMPLATES_RECOVERY)"),
  mailerTemplatesMagicLinkContent: mailContent("of sign-in links (MAILER_TEMPLATES_MAGIC_LINK)"),
  mailerTemplatesEmailChangeContent: mailContent("of changes of address (MAILER_TEMPLATES_EMAIL_CHANGE)"),
  mailerTemplatesReauthenticationContent: mailContent("of confirmation codes (MAILER_TEMPLATES_REAUTHENTICATION)"),
} satisfies Fields;

/** @param maxima The most that this installation gives a project. */
export function storageFields({ uploadBytes }: Maxima) {
  return {
    fileSizeLimitBytes: integer(
      Math.min(50 * MIB, uploadBytes),
      { min: 1, max: uploadBytes },
      "Largest object in bytes, where its bucket sets no smaller limit. Uploads also pass the limit maxUploadBytes.",
    ),
    totalBytesLimit: integer(
      MAX_TOTAL_BYTES,
      { min: 0, max: MAX_TOTAL_BYTES },
      "Most bytes of all objects together; uploads beyond it are refused.",
    ),
    allowedMimeTypes: texts(
      [],
      mediaTypePattern,
      { max: 100 },
      "Media types that the buckets of the project may hold, such as image/png or image/*; none allows all.",
    ),
    imageTransformationEnabled: flag(true, "Whether images are resized and converted on request (/render/image)."),
    s3ProtocolEnabled: flag(true, "Whether the S3 endpoint answers (/storage/v1/s3)."),
    trashSeconds: integer(
      3600,
      { min: 0, max: 30 * DAY_SECONDS },
      "Seconds for which the bytes of deleted and replaced objects are kept, so that a backup can read them.",
    ),
  } satisfies Fields;
}

/** Names, meanings and defaults follow the tenant columns of Supabase Realtime. */
export const REALTIME_FIELDS = {
  maxConcurrentUsers: integer(
    200,
    { min: 1, max: 1_000_000 },
    "Sockets with a joined channel, at a time (max_concurrent_users).",
  ),
  maxChannelsPerClient: integer(
    100,
    { min: 1, max: 1_000 },
    "Channels of one socket, at a time (max_channels_per_client).",
  ),
  maxJoinsPerSecond: integer(
    100,
    { min: 1, max: 100_000 },
    "Joins of all clients a second, on average over up to a minute (max_joins_per_second).",
  ),
  maxEventsPerSecond: integer(
    100,
    { min: 1, max: 10_000_000 },
    "Broadcasts received and delivered a second, on average over up to a minute (max_events_per_second). Database changes delivered are counted apart, against the same number.",
  ),
  maxPresenceEventsPerSecond: integer(
    1_000,
    { min: 1, max: 1_000_000 },
    "Presence calls and their deliveries a second, on average over up to a minute (max_presence_events_per_second).",
  ),
  maxClientPresenceEventsPerWindow: integer(
    5,
    { min: 1, max: 100_000 },
    "Presence calls of one channel within clientPresenceWindowMs (max_client_presence_events_per_window).",
  ),
  clientPresenceWindowMs: integer(
    30_000,
    { min: 1_000, max: 3_600_000 },
    "The span in which presence calls of one channel are counted, in milliseconds (client_presence_window_ms).",
  ),
  maxPayloadSizeKb: integer(
    3_000,
    { min: 1, max: 3_000 },
    "Largest payload of a broadcast or of presence, in thousands of bytes (max_payload_size_in_kb).",
  ),
  privateOnly: flag(false, "Whether only private channels may be joined (private_only)."),
  presenceEnabled: flag(false, "Whether presence is on although a client does not ask for it (presence_enabled)."),
  suspended: flag(false, "Whether realtime refuses every connection of the project (suspend)."),
} satisfies Fields;

/** @param maxima The most that this installation gives a project. */
export function limitFields(maxima: Maxima) {
  const most = limitMaxima(maxima);
  const limit = (name: keyof ProjectLimits, usual: number, description: string) =>
    integer(Math.min(usual, most[name]), { min: 1, max: most[name] }, description);
  return {
    requestsPerSecond: limit(
      "requestsPerSecond",
      20_000,
      "Requests a second that the gateway lets through in the long run, for each class of routes. So many messages of WebSockets a second pass as well.",
    ),
    requestBurst: limit("requestBurst", 20_000, "Requests let through at once when there were none before."),
    concurrentRequests: limit("concurrentRequests", 1_000, "Requests under way at a time."),
    sockets: limit("sockets", 10_000, "Open WebSockets."),
    maxBodyBytes: limit("maxBodyBytes", 10 * MIB, "Largest body of a REST or auth request, in bytes."),
    maxUploadBytes: limit("maxUploadBytes", 64 * MIB, "Largest body of a storage upload with its framing, in bytes."),
  } satisfies Fields;
}

export const GATEWAY_FIELDS = {
  requireApiKey: flag(true, "Whether a request without an API key is refused; off: it acts as anon."),
  corsOrigins: texts(["*"], corsOrigin, { max: 100 }, "Origins whose pages may call the project; * for all."),
  customHosts: texts(
    [],
    customHost,
    { max: 20 },
    "Host names of your own. Each leads to the project once its DNS record was found: see Project.customHosts.",
  ),
} satisfies Fields;

export type GatewaySettings = SettingsOf<typeof GATEWAY_FIELDS>;

// The contract with the services and this catalogue name the same settings of the same types.
type Same<A, B> = [A, B] extends [B, A] ? true : never;
true satisfies Same<SettingsOf<ReturnType<typeof restFields>>, RestSettings>;
true satisfies Same<SettingsOf<typeof AUTH_FIELDS>, Required<AuthSettings>>;
true satisfies Same<SettingsOf<ReturnType<typeof storageFields>>, StorageSettings>;
true satisfies Same<SettingsOf<typeof REALTIME_FIELDS>, RealtimeSettings>;
true satisfies Same<SettingsOf<ReturnType<typeof limitFields>>, ProjectLimits>;
