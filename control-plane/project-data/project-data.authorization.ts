import { type AuthorizationTable, members, type ReachedBy } from "../testing/authorization.ts";

const rows = 'input: {schema: "public", relation: "orders"}';

export const authorization: AuthorizationTable = {
  "Project.catalog": {
    rule: members("developer"),
    document: ({ ref }) => `{ project(ref: "${ref}") { catalog { schemas } } }`,
  },
  "Project.tableRows": {
    rule: members("developer"),
    document: ({ ref }) => `{ project(ref: "${ref}") { tableRows(${rows}) { columns } } }`,
  },
  "Project.countRows": {
    rule: members("developer"),
    document: ({ ref }) => `{ project(ref: "${ref}") { countRows(${rows}) } }`,
  },
  "Project.cell": {
    rule: members("developer"),
    document: ({ ref }) =>
      `{ project(ref: "${ref}") { cell(input: {schema: "public", relation: "orders", column: "id", key: {id: "1"}}) } }`,
  },
  "Mutation.changeRows": {
    rule: members("developer"),
    document: ({ ref }) =>
      `mutation { changeRows(input: {ref: "${ref}", schema: "public", relation: "orders", inserts: [{}]}) { inserted } }`,
  },
};

export const reachedBy: ReachedBy = {
  Catalog: "Project.catalog",
  RelationName: "Project.catalog",
  Relation: "Project.catalog",
  RelationColumn: "Project.catalog",
  RelationForeignKey: "Project.catalog",
  RelationPart: "Project.catalog",
  RelationPolicy: "Project.catalog",
  TableRows: "Project.tableRows",
  HiddenRows: "Project.tableRows",
  RowChanges: "Mutation.changeRows",
};
