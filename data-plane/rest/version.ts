/** The PostgREST release whose behaviour the service has; clients read it as the version of the API. */
export const POSTGREST_VERSION = "16.1";
