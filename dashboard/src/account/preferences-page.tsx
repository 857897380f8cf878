/** What is kept on this device: theme and single-key shortcuts. */
import { useState } from "react";
import { Page, Section } from "../shell/page.tsx";
import { areLettersOn, setLettersOn } from "../shell/shortcuts.ts";
import { type Theme, useTheme } from "../shell/theme.ts";
import { Segmented, Switch } from "../ui/field.tsx";

const THEMES = [
  { value: "system", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
] as const;

export function PreferencesPage() {
  const [theme, setTheme] = useTheme();
  const [letters, setLetters] = useState(areLettersOn());
  return (
    <Page title="Preferences" documentTitle="Preferences" lead="Kept on this device.">
      <Section title="Theme">
        <Segmented<Theme> label="Theme" isLabelHidden value={theme} onChange={setTheme} choices={THEMES} />
      </Section>
      <Section title="Keyboard">
        <Switch
          isSelected={letters}
          onChange={(on) => {
            setLettersOn(on);
            setLetters(on);
          }}
          help="Such as G H for a project’s home. Shortcuts with Ctrl or ⌘ always work. Switch it off if you use speech input."
        >
          Shortcuts of single keys
        </Switch>
      </Section>
    </Page>
  );
}
