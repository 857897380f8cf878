/** Search and commands: projects of all organizations, pages of the present project, deeds. */
import uFuzzy from "@leeoniya/ufuzzy";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Search } from "lucide-react";
import { useMemo, useState } from "react";
import { Autocomplete } from "react-aria-components/Autocomplete";
import { Dialog } from "react-aria-components/Dialog";
import { Header } from "react-aria-components/Header";
import { Input } from "react-aria-components/Input";
import { Menu, MenuItem, MenuSection } from "react-aria-components/Menu";
import { Modal, ModalOverlay } from "react-aria-components/Modal";
import { SearchField } from "react-aria-components/SearchField";
import { Text } from "react-aria-components/Text";
import { useQuery } from "../graphql/hooks.ts";
import { STATES } from "../projects/project-state.tsx";
import { visible } from "../ui/format.ts";
import menuStyles from "../ui/menu.module.css";
import { FindProjectsDocument, ProjectFrameDocument } from "./generated/operations.ts";
import styles from "./palette.module.css";
import { INSTANCE_PAGES, PROJECT_PAGES, type RailGroup } from "./rail.tsx";
import { useTheme } from "./theme.ts";
import { roleAllows, useViewer } from "./viewer.ts";

interface Entry {
  readonly id: string;
  readonly group: string;
  readonly label: string;
  readonly help?: string;
  readonly run: () => void;
}

const fuzzy = new uFuzzy({ intraMode: 1 });

/** The best matches first; all of them while nothing is searched. Pure. */
export function rank<T>(entries: readonly T[], textOf: (entry: T) => string, search: string): readonly T[] {
  if (search.trim() === "") return entries;
  const [found, info, order] = fuzzy.search(entries.map(textOf), search, 1);
  if (!found) return [];
  const indexes = info && order ? order.map((position) => info.idx[position]) : found;
  return indexes.flatMap((index) => (index !== undefined && entries[index] !== undefined ? [entries[index]] : []));
}

export default function Palette({ onClose }: { readonly onClose: () => void }) {
  const [search, setSearch] = useState("");
  const entries = useEntries(search);
  const groups = useMemo(() => {
    const found = rank(entries, ({ label, help }) => `${label} ${help ?? ""}`, search).slice(0, 60);
    return [...Map.groupBy(found, ({ group }) => group)];
  }, [entries, search]);
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(open) => !open && onClose()} className={styles.backdrop ?? ""}>
      <Modal className={styles.modal ?? ""}>
        <Dialog aria-label="Search and commands" className={styles.dialog ?? ""}>
          <Autocomplete inputValue={search} onInputChange={setSearch}>
            <SearchField aria-label="Search projects, pages and commands" autoFocus className={styles.search ?? ""}>
              <Search aria-hidden />
              <Input
                placeholder="Projects, pages, commands"
                onKeyDown={(event) => {
                  // Results that arrive late take the focus from the list: Enter means the best match then.
                  const [best] = groups[0]?.[1] ?? [];
                  if (event.key !== "Enter" || event.currentTarget.hasAttribute("aria-activedescendant") || !best)
                    return;
                  event.preventDefault();
                  onClose();
                  best.run();
                }}
              />
            </SearchField>
            <Menu
              aria-label="Results"
              className={styles.list ?? ""}
              renderEmptyState={() => <p className={styles.nothing}>Nothing matches “{search}”.</p>}
              onAction={(id) => {
                onClose();
                entries.find((entry) => entry.id === id)?.run();
              }}
            >
              {groups.map(([group, items]) => (
                <MenuSection key={group} id={group} className={menuStyles.section ?? ""}>
                  <Header className={menuStyles.heading ?? ""}>{group}</Header>
                  {items.map(({ id, label, help }) => (
                    <MenuItem key={id} id={id} textValue={label} className={menuStyles.item ?? ""}>
                      <Text slot="label">{label}</Text>
                      {help ? (
                        <Text slot="description" className={menuStyles.help ?? ""}>
                          {help}
                        </Text>
                      ) : null}
                    </MenuItem>
                  ))}
                </MenuSection>
              ))}
            </Menu>
          </Autocomplete>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

function useEntries(search: string): readonly Entry[] {
  const navigate = useNavigate();
  const viewer = useViewer();
  const { ref } = useParams({ strict: false });
  const [, setTheme] = useTheme();
  const project = useQuery(ProjectFrameDocument, { ref: ref ?? "" }, { policy: "cache-first", pause: !ref }).data
    ?.project;
  const projects = useQuery(
    FindProjectsDocument,
    { search: search.trim() || null },
    { policy: "cache-and-network" },
  ).data;
  return useMemo(() => {
    const go =
      (to: string, params: Record<string, string> = {}) =>
      () =>
        void navigate({ to, params } as unknown as Parameters<typeof navigate>[0]);
    const pagesOf = (group: string, pages: readonly RailGroup[], params: Record<string, string>): Entry[] =>
      pages.flatMap(({ items }) =>
        items
          .filter(({ least }) => !least || !project || roleAllows(project.viewerRole, least))
          .map(({ label, to }) => ({ id: `${group} ${to}`, group, label, run: go(to, params) })),
      );
    const found = projects?.viewer?.projects.edges.map(({ node }) => node) ?? [];
    return [
      ...(project && ref ? pagesOf(visible(project.name), PROJECT_PAGES, { ref }) : []),
      ...found.map(({ ref: found, name, state, organization }) => ({
        id: found,
        group: "Projects",
        label: visible(name),
        help: `${visible(organization.name)} · ${STATES[state].word} · ${found}`,
        run: go("/projects/$ref", { ref: found }),
      })),
      ...viewer.organizations.map(({ id, name, slug }) => ({
        id,
        group: "Organizations",
        label: visible(name),
        run: go("/orgs/$slug/members", { slug }),
      })),
      ...(viewer.isInstanceOwner ? pagesOf("Installation", INSTANCE_PAGES, {}) : []),
      {
        id: "new-project",
        group: "Commands",
        label: "New project",
        run: () => void navigate({ to: "/projects", hash: "new" }),
      },
      { id: "light", group: "Commands", label: "Light theme", run: () => setTheme("light") },
      { id: "dark", group: "Commands", label: "Dark theme", run: () => setTheme("dark") },
      { id: "tokens", group: "Commands", label: "Access tokens", run: go("/account/tokens") },
    ];
  }, [navigate, viewer, ref, project, projects, setTheme]);
}
