-- Enums of schema auth. Values are only ever added (`alter type … add value if not exists`), as columns hold them.

do $types$
declare
  enum record;
begin
  for enum in
    select * from (values
      ('aal_level', array['aal1', 'aal2', 'aal3']),
      ('code_challenge_method', array['s256', 'plain']),
      ('factor_status', array['unverified', 'verified']),
      ('factor_type', array['totp', 'webauthn', 'phone']),
      ('one_time_token_type', array[
        'confirmation_token', 'reauthentication_token', 'recovery_token', 'email_change_token_new',
        'email_change_token_current', 'phone_change_token'
      ]),
      ('oauth_registration_type', array['dynamic', 'manual']),
      ('oauth_client_type', array['public', 'confidential']),
      ('oauth_authorization_status', array['pending', 'approved', 'denied', 'expired']),
      ('oauth_response_type', array['code'])
    ) as list (name, labels)
  loop
    if to_regtype('auth.' || enum.name) is null then
      execute format(
        'create type auth.%I as enum (%s)',
        enum.name,
        (select string_agg(quote_literal(label), ', ' order by position)
         from unnest(enum.labels) with ordinality as l (label, position))
      );
      execute format('alter type auth.%I owner to supabase_auth_admin', enum.name);
    end if;
  end loop;
end
$types$;
