/** POST /admin/mail/test: asks the project's mail server to take a mail, and answers what it said. Ours, not GoTrue's. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { parseEmail } from "../users/identifiers.ts";

const Body = z.object({ to: text });

/** Answers `{accepted, answer}` with what the server said. */
export async function sendTestMail(context: AuthContext): Promise<ServiceResponse> {
  await requireAdmin(context);
  const { project, settings, parts } = context;
  const { to } = await readBody(context.request, Body);
  const recipient = parseEmail(to);
  if (!settings.smtpHost) throw new AuthError("validation_failed", "The project has no mail server");
  const { kind, answer } = await parts.sendTestMail(project, {
    recipient,
    subject: "Test mail",
    html: "<p>The mail server of this project works.</p>",
  });
  return json({ accepted: kind === "accepted", answer });
}
