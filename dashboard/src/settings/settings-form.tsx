/**
 * The form of one group of settings, made from what the API says of each: it marks what is not the default, resets one
 * field, shows the server's refusal at its field, and keeps what is typed until it is saved, through reloads too.
 */
import { useEffect, useState } from "react";
import { fieldError } from "../graphql/errors.ts";
import { type OperationText, useMutation, useQuery } from "../graphql/hooks.ts";
import { readDraft, removeDraft, writeDraft } from "../shell/drafts.ts";
import { useProject } from "../shell/project-layout.tsx";
import { roleAllows, useViewer } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { cx } from "../ui/cx.ts";
import { SubmitForm } from "../ui/dialog.tsx";
import { Select, Switch, TextField } from "../ui/field.tsx";
import { formatBytes, plural } from "../ui/format.ts";
import { Badge, EmptyState, ErrorState, InlineError, Loading } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import { ProjectSettingsDocument } from "./generated/operations.ts";
import {
  type Draft,
  describeValue,
  fromDraft,
  isSameValue,
  type Setting,
  settingLabel,
  toDraft,
} from "./setting-value.ts";
import styles from "./settings.module.css";

type Drafts = Readonly<Record<string, Draft>>;

export interface SettingsFormProps {
  readonly group: Setting["group"];
  readonly update: OperationText<unknown, { ref: string; settings: Record<string, unknown> }>;
  /** Only these, in this order; all of the group when left out. */
  readonly names?: readonly string[];
}

export function SettingsForm({ group, update, names }: SettingsFormProps) {
  const { ref } = useProject();
  const { data, error, refetch } = useQuery(ProjectSettingsDocument, { ref });
  if (!data) {
    return error ? (
      <ErrorState
        error={error}
        onRetry={refetch}
        what="project"
        forbidden="Your role cannot see settings. Ask an admin."
      />
    ) : (
      <Loading what="the settings" />
    );
  }
  const ofGroup = data.project.settings.filter((setting) => setting.group === group);
  const settings = names ? names.flatMap((name) => ofGroup.find((setting) => setting.name === name) ?? []) : ofGroup;
  if (settings.length === 0) return <EmptyState title="This installation has no such settings" />;
  return <Fields key={ref} settings={settings} group={group} update={update} onSaved={refetch} />;
}

function Fields({
  settings,
  group,
  update,
  onSaved,
}: Pick<SettingsFormProps, "group" | "update"> & {
  readonly settings: readonly Setting[];
  readonly onSaved: () => void;
}) {
  const { ref, viewerRole } = useProject();
  const viewer = useViewer();
  const mayChange = roleAllows(viewerRole, "ADMIN");
  const draftKey = `settings/${ref}/${group}/${settings[0]?.name}`;
  const [drafts, setDrafts] = useDrafts(viewer.id, draftKey);
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const save = useMutation(update);

  const changed = settings.filter((setting) => {
    const draft = drafts[setting.name];
    if (draft === undefined) return false;
    const parsed = fromDraft(setting, draft);
    return "problem" in parsed || !isSameValue(parsed.value, setting.value);
  });

  const submit = async () => {
    const found: Record<string, string> = {};
    const values: Record<string, unknown> = {};
    for (const setting of changed) {
      const parsed = fromDraft(setting, drafts[setting.name] ?? "");
      if ("problem" in parsed) found[setting.name] = parsed.problem;
      else values[setting.name] = parsed.value;
    }
    setProblems(found);
    if (Object.keys(found).length > 0) return;
    const { error } = await save.run({ ref, settings: values });
    if (error) return;
    setDrafts({});
    toast(`${plural(changed.length, "setting")} saved. They take effect at once.`);
    onSaved();
  };

  const isAtField = settings.some(({ name }) => fieldError(save.error, name));
  return (
    <SubmitForm className={styles.form} onSubmit={() => void submit()}>
      {settings.map((setting) => (
        <SettingField
          key={setting.name}
          setting={setting}
          draft={drafts[setting.name] ?? toDraft(setting, setting.value)}
          isChanged={changed.includes(setting)}
          isDisabled={!mayChange}
          error={problems[setting.name] ?? fieldError(save.error, setting.name)}
          onChange={(draft) => setDrafts({ ...drafts, [setting.name]: draft })}
        />
      ))}
      {mayChange ? (
        <div className={cx(styles.bar, changed.length > 0 && styles.unsaved)}>
          <span>
            {changed.length === 0 ? "Everything is saved." : `${plural(changed.length, "change")} not saved yet.`}
          </span>
          {changed.length > 0 ? <Button onPress={() => setDrafts({})}>Discard</Button> : null}
          <Button variant="primary" type="submit" isDisabled={changed.length === 0} isPending={save.isRunning}>
            Save
          </Button>
          {isAtField ? null : <InlineError error={save.error} />}
        </div>
      ) : null}
    </SubmitForm>
  );
}

function SettingField({
  setting,
  draft,
  isChanged,
  isDisabled,
  error,
  onChange,
}: {
  readonly setting: Setting;
  readonly draft: Draft;
  readonly isChanged: boolean;
  readonly isDisabled: boolean;
  readonly error: string | null | undefined;
  readonly onChange: (draft: Draft) => void;
}) {
  const usual = toDraft(setting, setting.default);
  const isUsual = draft === usual;
  return (
    <div className={styles.setting}>
      <Control setting={setting} draft={draft} isDisabled={isDisabled} error={error} onChange={onChange} />
      <div className={styles.aside}>
        {isChanged ? <Badge tone="warning">not saved</Badge> : isUsual ? null : <Badge tone="accent">changed</Badge>}
        {isUsual || isDisabled ? null : (
          <Button
            size="small"
            variant="ghost"
            aria-label={`Reset ${settingLabel(setting.name)}`}
            onPress={() => onChange(usual)}
          >
            Reset
          </Button>
        )}
      </div>
    </div>
  );
}

function Control({
  setting,
  draft,
  isDisabled,
  error,
  onChange,
}: {
  readonly setting: Setting;
  readonly draft: Draft;
  readonly isDisabled: boolean;
  readonly error: string | null | undefined;
  readonly onChange: (draft: Draft) => void;
}) {
  const label = settingLabel(setting.name);
  const help = `${setting.description} Default: ${describeValue(setting, setting.default)}.`;
  if (typeof draft === "boolean") {
    return (
      <Switch isSelected={draft} onChange={onChange} isDisabled={isDisabled} help={help} error={error}>
        {label}
      </Switch>
    );
  }
  if (setting.type === "Enum") {
    return (
      <Select
        label={label}
        help={help}
        error={error}
        isDisabled={isDisabled}
        value={draft}
        onChange={onChange}
        choices={setting.choices.map((value) => ({ value, label: value.toLowerCase().replaceAll("_", "-") }))}
      />
    );
  }
  const bytes = setting.name.endsWith("Bytes") && /^\d+$/.test(draft) ? ` ${formatBytes(Number(draft))}.` : "";
  return (
    <TextField
      label={label}
      help={`${help}${bytes}${setting.type === "[String]" ? " One in a line." : ""}`}
      error={error}
      isDisabled={isDisabled}
      value={draft}
      onChange={onChange}
      mono
      {...(setting.type === "[String]" || setting.type === "JSON"
        ? { rows: Math.min(Math.max(draft.split("\n").length + 1, 3), 10) }
        : {})}
    />
  );
}

/** Kept on the device until they are saved or discarded. */
function useDrafts(accountId: string, key: string): [Drafts, (drafts: Drafts) => void] {
  const [drafts, setDrafts] = useState<Drafts>({});
  useEffect(() => {
    let isCurrent = true;
    void readDraft<Drafts>(accountId, key)
      .then((kept) => {
        if (isCurrent && kept) setDrafts((typed) => ({ ...kept, ...typed }));
      })
      .catch(() => undefined); // a browser that keeps nothing still lets people type
    return () => {
      isCurrent = false;
    };
  }, [accountId, key]);
  return [
    drafts,
    (next) => {
      setDrafts(next);
      const kept = Object.keys(next).length > 0 ? writeDraft(accountId, key, next) : removeDraft(accountId, key);
      kept.catch(() => undefined);
    },
  ];
}
