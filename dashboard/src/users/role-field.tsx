/** A role of the application: those in use to choose from, or a new one to type. */
import { ChevronDown } from "lucide-react";
import { Button } from "react-aria-components/Button";
import { ComboBox } from "react-aria-components/ComboBox";
import { FieldError } from "react-aria-components/FieldError";
import { Input } from "react-aria-components/Input";
import { Label } from "react-aria-components/Label";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import { Text } from "react-aria-components/Text";
import fieldStyles from "../ui/field.module.css";
import { visible } from "../ui/format.ts";
import menuStyles from "../ui/menu.module.css";
import styles from "./role-field.module.css";

export function RoleField({
  value,
  onChange,
  knownRoles,
  error,
}: {
  readonly value: string;
  readonly onChange: (role: string) => void;
  readonly knownRoles: readonly string[];
  readonly error: string | null;
}) {
  return (
    <ComboBox
      allowsCustomValue
      inputValue={value}
      onInputChange={onChange}
      onChange={(key) => {
        if (typeof key === "string") onChange(key);
      }}
      isInvalid={error !== null}
      validationBehavior="aria"
      menuTrigger="focus"
      className={fieldStyles.field ?? ""}
    >
      <Label className={fieldStyles.label ?? ""}>Role</Label>
      <div className={styles.box}>
        <Input className={fieldStyles.input ?? ""} placeholder="none" spellCheck={false} />
        {knownRoles.length > 0 ? (
          <Button className={styles.open ?? ""} aria-label="Roles in use">
            <ChevronDown aria-hidden />
          </Button>
        ) : null}
      </div>
      <Text slot="description" className={fieldStyles.help ?? ""}>
        Stands in the user’s tokens as app_metadata.role, for your policies. Empty for none.
      </Text>
      {error ? <FieldError className={fieldStyles.error ?? ""}>{error}</FieldError> : null}
      <Popover className={menuStyles.popover ?? ""}>
        <ListBox className={menuStyles.menu ?? ""} items={knownRoles.map((role) => ({ id: role }))}>
          {({ id }) => (
            <ListBoxItem id={id} textValue={id} className={menuStyles.item ?? ""}>
              {visible(id)}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </ComboBox>
  );
}
