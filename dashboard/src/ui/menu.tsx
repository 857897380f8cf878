/** A button that opens a list of deeds. What is not possible now stays, disabled, with its reason. */
import { Ellipsis } from "lucide-react";
import { type ReactElement, type ReactNode, useRef, useState } from "react";
import { Header } from "react-aria-components/Header";
import { Menu as AriaMenu, MenuItem as AriaMenuItem, MenuSection, MenuTrigger } from "react-aria-components/Menu";
import { Popover } from "react-aria-components/Popover";
import { Text } from "react-aria-components/Text";
import { cx } from "./cx.ts";
import styles from "./menu.module.css";

export interface MenuItem {
  readonly id: string;
  readonly label: ReactNode;
  /** For search by typing, when the label is no plain text. */
  readonly textValue?: string;
  readonly help?: string | undefined;
  readonly keys?: string;
  readonly isDisabled?: boolean | undefined;
  readonly isDanger?: boolean;
  readonly onAction: () => void;
}

export interface MenuProps {
  /** A Button or IconButton. */
  readonly trigger: ReactElement;
  readonly label: string;
  /** Groups, drawn apart. */
  readonly sections: readonly { readonly heading?: string; readonly items: readonly MenuItem[] }[];
}

export function Menu({ trigger, label, sections }: MenuProps) {
  return (
    <MenuTrigger>
      {trigger}
      <Popover className={styles.popover ?? ""} offset={4}>
        <MenuList label={label} sections={sections} />
      </Popover>
    </MenuTrigger>
  );
}

/**
 * The same for a row of a long list: a plain button until it is pressed, for fifty menus with their tooltips would cost
 * the list as much as everything else in it.
 */
export function RowMenu({
  label,
  sections,
}: {
  readonly label: string;
  readonly sections: () => MenuProps["sections"];
}) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button
        ref={button}
        type="button"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        title={label}
        className={styles.rowButton}
        onClick={() => setOpen(true)}
      >
        <Ellipsis aria-hidden />
      </button>
      {isOpen ? (
        <Popover triggerRef={button} isOpen onOpenChange={setOpen} className={styles.popover ?? ""} offset={4}>
          <MenuList label={label} sections={sections()} onClose={() => setOpen(false)} />
        </Popover>
      ) : null}
    </>
  );
}

function MenuList({
  label,
  sections,
  onClose,
}: Pick<MenuProps, "label" | "sections"> & { readonly onClose?: () => void }) {
  return (
    <AriaMenu
      aria-label={label}
      {...(onClose ? { onClose, autoFocus: "first" as const } : {})}
      className={styles.menu ?? ""}
    >
      {sections.map((section, index) => (
        <MenuSection
          // biome-ignore lint/suspicious/noArrayIndexKey: groups have no other identity and never move
          key={index}
          {...(section.heading ? {} : { "aria-label": label })}
          className={styles.section ?? ""}
        >
          {section.heading ? <Header className={styles.heading ?? ""}>{section.heading}</Header> : null}
          {section.items.map((item) => (
            <AriaMenuItem
              key={item.id}
              id={item.id}
              textValue={item.textValue ?? (typeof item.label === "string" ? item.label : item.id)}
              isDisabled={item.isDisabled ?? false}
              onAction={item.onAction}
              className={cx(styles.item, item.isDanger && styles.danger)}
            >
              <span className={styles.text}>
                <Text slot="label">{item.label}</Text>
                {item.help ? (
                  <Text slot="description" className={styles.help ?? ""}>
                    {item.help}
                  </Text>
                ) : null}
              </span>
              {item.keys ? <kbd className={styles.keys}>{item.keys}</kbd> : null}
            </AriaMenuItem>
          ))}
        </MenuSection>
      ))}
    </AriaMenu>
  );
}
