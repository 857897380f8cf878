-- Mails of the auth service: written in the transaction that makes the token in them, sent after it, and kept for a while so
-- that one can see what became of them. Reached as supabase_auth_admin.

create table if not exists supalove.mails (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  recipient text not null,
  subject text not null,
  html text,
  state text not null,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  finished_at timestamptz,
  answer text,
  constraint mails_pkey primary key (id),
  constraint mails_state_check check (state in ('waiting', 'sending', 'sent', 'caught', 'failed'))
);
create index if not exists mails_due_at on supalove.mails (due_at) where state in ('waiting', 'sending');
create index if not exists mails_created_at on supalove.mails (created_at);
comment on table supalove.mails is 'What the auth service mails. Caught: there was no mail server, so it can be read here. A mail is handed over once: one whose process ended in the middle counts as failed.';
comment on column supalove.mails.html is 'Gone once the mail was sent or given up: the link in it is a credential.';
comment on column supalove.mails.expires_at is 'When the link or code in it stops working: later it is not worth sending.';
comment on column supalove.mails.answer is 'What the mail server said last.';

grant usage on schema supalove to supabase_auth_admin;
grant select, insert, update, delete on supalove.mails to supabase_auth_admin;
