/** Inputs: label above, help below, the reason below that. The label is always there; a placeholder is an example only. */
import { Check, ChevronDown, CircleAlert, Minus, Search } from "lucide-react";
import { type ReactNode, type Ref, useEffect, useId, useRef, useState } from "react";
import { Button } from "react-aria-components/Button";
import { Checkbox as AriaCheckbox } from "react-aria-components/Checkbox";
import { FieldError } from "react-aria-components/FieldError";
import { Input } from "react-aria-components/Input";
import { Label } from "react-aria-components/Label";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import { Radio, RadioGroup } from "react-aria-components/RadioGroup";
import { SearchField as AriaSearchField } from "react-aria-components/SearchField";
import { Select as AriaSelect, SelectValue } from "react-aria-components/Select";
import { Switch as AriaSwitch } from "react-aria-components/Switch";
import { Text } from "react-aria-components/Text";
import { TextArea } from "react-aria-components/TextArea";
import { TextField as AriaTextField } from "react-aria-components/TextField";
import { cx } from "./cx.ts";
import styles from "./field.module.css";
import menuStyles from "./menu.module.css";

interface Shared {
  readonly label: string;
  readonly help?: ReactNode;
  readonly error?: string | null | undefined;
  readonly isDisabled?: boolean;
  readonly className?: string;
}

export interface TextFieldProps extends Shared {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly type?: "text" | "email" | "password" | "number" | "url" | "datetime-local";
  readonly name?: string;
  readonly placeholder?: string;
  readonly autoComplete?: string;
  readonly autoFocus?: boolean;
  readonly isRequired?: boolean;
  readonly isReadOnly?: boolean;
  readonly maxLength?: number;
  /** Codes, names of the database, numbers. */
  readonly mono?: boolean;
  /** More than one line. */
  readonly rows?: number;
  /** Beside the label, such as a link. */
  readonly aside?: ReactNode;
}

export function TextField({ label, help, error, className, mono, rows, placeholder, aside, ...props }: TextFieldProps) {
  const inputClass = cx(styles.input, mono && styles.mono);
  return (
    <AriaTextField
      {...props}
      isInvalid={Boolean(error)}
      validationBehavior="aria"
      className={cx(styles.field, className)}
    >
      <span className={styles.labelRow}>
        <Label className={styles.label ?? ""}>{label}</Label>
        {aside}
      </span>
      {rows ? (
        <TextArea className={inputClass} rows={rows} placeholder={placeholder ?? ""} spellCheck={false} />
      ) : (
        <Input className={inputClass} placeholder={placeholder ?? ""} spellCheck={false} />
      )}
      <Below help={help} error={error} />
    </AriaTextField>
  );
}

function Below({ help, error }: Pick<Shared, "help" | "error">) {
  return (
    <>
      {help ? (
        <Text slot="description" className={styles.help ?? ""}>
          {help}
        </Text>
      ) : null}
      {error ? (
        <FieldError className={styles.error ?? ""}>
          <CircleAlert aria-hidden size={14} /> {error}
        </FieldError>
      ) : null}
    </>
  );
}

export interface SearchFieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
  readonly className?: string;
  readonly inputRef?: Ref<HTMLInputElement>;
}

/** Its label is read out, and seen as the placeholder. */
export function SearchField({ label, value, onChange, placeholder, className, inputRef }: SearchFieldProps) {
  return (
    <AriaSearchField aria-label={label} value={value} onChange={onChange} className={cx(styles.search, className)}>
      <Search aria-hidden />
      <Input
        ref={inputRef ?? null}
        className={styles.input ?? ""}
        placeholder={placeholder ?? label}
        spellCheck={false}
      />
    </AriaSearchField>
  );
}

const ACT_AFTER_MS = 200;

/** What is typed shows at once and acts when the typing pauses; a value that changes elsewhere is taken over. */
export function DelayedSearchField({ value, onChange, ...props }: SearchFieldProps) {
  const [text, setText] = useState(value);
  const given = useRef(value);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => {
    if (given.current === value) return;
    given.current = value;
    setText(value);
  }, [value]);
  useEffect(() => {
    if (text === given.current) return;
    const timer = setTimeout(() => {
      given.current = text;
      latest.current(text);
    }, ACT_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return <SearchField {...props} value={text} onChange={setText} />;
}

export interface Choice<Value extends string> {
  readonly value: Value;
  readonly label: string;
  readonly help?: string;
}

export interface SelectProps<Value extends string> extends Shared {
  readonly value: Value;
  readonly onChange: (value: Value) => void;
  readonly choices: readonly Choice<Value>[];
  /** In toolbars: the label is read out, not shown. */
  readonly isCompact?: boolean;
}

export function Select<Value extends string>({
  label,
  help,
  error,
  value,
  onChange,
  choices,
  isCompact,
  className,
  ...props
}: SelectProps<Value>) {
  return (
    <AriaSelect
      {...props}
      aria-label={label}
      value={value}
      onChange={(key) => onChange(key as Value)}
      isInvalid={Boolean(error)}
      className={cx(styles.field, isCompact && styles.compact, className)}
    >
      {isCompact ? null : <Label className={styles.label ?? ""}>{label}</Label>}
      <Button className={styles.select ?? ""}>
        <SelectValue>{({ selectedText }) => selectedText}</SelectValue>
        <ChevronDown aria-hidden />
      </Button>
      <Below help={help} error={error} />
      <Popover className={menuStyles.popover ?? ""} offset={4}>
        <ListBox className={menuStyles.menu ?? ""}>
          {choices.map((choice) => (
            <ListBoxItem
              key={choice.value}
              id={choice.value}
              textValue={choice.label}
              className={menuStyles.item ?? ""}
            >
              {({ isSelected }) => (
                <>
                  <span className={menuStyles.text}>
                    <Text slot="label">{choice.label}</Text>
                    {choice.help ? (
                      <Text slot="description" className={menuStyles.help ?? ""}>
                        {choice.help}
                      </Text>
                    ) : null}
                  </span>
                  {isSelected ? <Check aria-hidden className={menuStyles.check} /> : null}
                </>
              )}
            </ListBoxItem>
          ))}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

export interface SwitchProps {
  readonly children: ReactNode;
  readonly isSelected: boolean;
  readonly onChange: (value: boolean) => void;
  readonly isDisabled?: boolean;
  readonly help?: ReactNode;
  readonly error?: string | null | undefined;
}

export function Switch({ children, help, error, ...props }: SwitchProps) {
  const helpId = useId();
  return (
    <div className={styles.field}>
      <AriaSwitch {...props} {...(help ? { "aria-describedby": helpId } : {})} className={styles.switch ?? ""}>
        <span className={styles.track} />
        {children}
      </AriaSwitch>
      {help ? (
        <span id={helpId} className={styles.help}>
          {help}
        </span>
      ) : null}
      {error ? <span className={styles.error}>{error}</span> : null}
    </div>
  );
}

export interface CheckboxProps {
  /** Seen beside the box, or only read out with `isLabelHidden`. */
  readonly label: string;
  readonly isLabelHidden?: boolean;
  readonly isSelected: boolean;
  readonly isIndeterminate?: boolean;
  readonly onChange: (value: boolean) => void;
  readonly isDisabled?: boolean;
}

export function Checkbox({ label, isLabelHidden, ...props }: CheckboxProps) {
  return (
    <AriaCheckbox {...props} {...(isLabelHidden ? { "aria-label": label } : {})} className={styles.checkbox ?? ""}>
      {({ isIndeterminate }) => (
        <>
          <span className={styles.box}>{isIndeterminate ? <Minus aria-hidden /> : <Check aria-hidden />}</span>
          {isLabelHidden ? null : label}
        </>
      )}
    </AriaCheckbox>
  );
}

/** In rows of a long list: the browser's own, drawn alike, for it costs a hundredth. */
export function RowCheckbox({
  label,
  isSelected,
  onChange,
}: {
  readonly label: string;
  readonly isSelected: boolean;
  readonly onChange: (value: boolean) => void;
}) {
  return (
    <input
      type="checkbox"
      aria-label={label}
      checked={isSelected}
      onChange={(event) => onChange(event.target.checked)}
      className={styles.rowCheckbox}
    />
  );
}

export interface SegmentedProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly onChange: (value: Value) => void;
  readonly choices: readonly Choice<Value>[];
  readonly isLabelHidden?: boolean;
}

/** A few choices that exclude each other, all to be seen. */
export function Segmented<Value extends string>({
  label,
  value,
  onChange,
  choices,
  isLabelHidden,
}: SegmentedProps<Value>) {
  return (
    <RadioGroup
      {...(isLabelHidden ? { "aria-label": label } : {})}
      value={value}
      onChange={(chosen) => onChange(chosen as Value)}
      orientation="horizontal"
      className={styles.field ?? ""}
    >
      {isLabelHidden ? null : <Label className={styles.label ?? ""}>{label}</Label>}
      <div>
        <span className={styles.segmented}>
          {choices.map((choice) => (
            <Radio key={choice.value} value={choice.value} className={styles.segment ?? ""}>
              {choice.label}
            </Radio>
          ))}
        </span>
      </div>
    </RadioGroup>
  );
}
