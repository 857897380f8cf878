/** Buttons and links that look like one. A button that is running says so and cannot be pressed again. */
import { Link, type LinkProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from "react-aria-components/Button";
import { Tooltip, TooltipTrigger } from "react-aria-components/Tooltip";
import styles from "./button.module.css";
import { cx } from "./cx.ts";

export interface ButtonLook {
  readonly variant?: "primary" | "secondary" | "ghost" | "danger";
  readonly size?: "small" | "medium" | "large";
}

export type ButtonProps = Omit<AriaButtonProps, "className" | "style"> & ButtonLook & { readonly className?: string };

export function Button({ variant = "secondary", size = "medium", className, ...props }: ButtonProps) {
  return <AriaButton {...props} className={buttonClass({ variant, size }, className)} />;
}

/** A button that is only an icon: its name is its tooltip as well. */
export function IconButton({
  label,
  keys,
  children,
  className,
  ...props
}: Omit<ButtonProps, "children"> & { readonly label: string; readonly keys?: string; readonly children: ReactNode }) {
  return (
    <TooltipTrigger delay={400} closeDelay={0}>
      <Button variant="ghost" {...props} aria-label={label} className={cx(styles.icon, className)}>
        {children}
      </Button>
      <Tooltip offset={6} className={styles.tooltip ?? ""}>
        {label}
        {keys ? <kbd>{keys}</kbd> : null}
      </Tooltip>
    </TooltipTrigger>
  );
}

export function ButtonLink({ variant, size, className, ...props }: LinkProps & ButtonLook & { className?: string }) {
  return <Link {...props} className={buttonClass({ variant, size }, className)} />;
}

function buttonClass(
  { variant = "secondary", size = "medium" }: { [K in keyof ButtonLook]: ButtonLook[K] | undefined },
  extra?: string,
) {
  return cx(styles.button, styles[variant], size === "medium" ? undefined : styles[size], extra);
}
