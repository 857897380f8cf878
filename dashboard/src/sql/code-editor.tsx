/** The SQL editor itself: CodeMirror with the catalog's names, in the page's colours and under its policy. */
import { acceptCompletion, autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, type SQLNamespace, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { type Ref, useEffect, useImperativeHandle, useRef } from "react";
import styles from "./sql.module.css";

export interface EditorMark {
  /** Characters before it. */
  readonly position: number;
  readonly message: string;
}

export interface CodeEditorHandle {
  /** What is selected; empty when nothing is. */
  readonly selection: () => string;
  /** Characters before the selection, or before the cursor. */
  readonly cursor: () => number;
  readonly selectionStart: () => number;
  readonly focus: () => void;
}

export interface CodeEditorProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly schema: SQLNamespace;
  readonly mark: EditorMark | null;
  readonly onRun: () => void;
  readonly onRunStatement: () => void;
  readonly onExplain: () => void;
  readonly ref?: Ref<CodeEditorHandle>;
}

const highlight = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--code-name)" },
  { tag: tags.comment, color: "var(--code-comment)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", backgroundColor: "var(--surface)", color: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { font: "var(--code)", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-3)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 60%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--soft-info)",
  },
  ".cm-tooltip": {
    backgroundColor: "var(--surface)",
    color: "var(--text)",
    border: "1px solid var(--line)",
    borderRadius: "var(--radius)",
    boxShadow: "var(--shadow-overlay)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { font: "var(--code)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent-fill)", color: "var(--on-fill)" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--danger)",
    backgroundColor: "var(--soft-danger)",
  },
  ".cm-diagnostic-error": { borderLeftColor: "var(--danger)" },
});

function nonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
}

export default function CodeEditor({
  label,
  value,
  onChange,
  schema,
  mark,
  onRun,
  onRunStatement,
  onExplain,
  ref,
}: CodeEditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const language = useRef(new Compartment());
  const latest = useRef({ onChange, onRun, onRunStatement, onExplain });
  latest.current = { onChange, onRun, onRunStatement, onExplain };
  const first = useRef({ value, label });

  useEffect(() => {
    if (!place.current) return;
    const act = (name: "onRun" | "onRunStatement" | "onExplain") => () => {
      latest.current[name]();
      return true;
    };
    const editor = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: first.current.value,
        extensions: [
          EditorView.cspNonce.of(nonce()),
          Prec.highest(
            keymap.of([
              { key: "Mod-Enter", run: act("onRun") },
              { key: "Alt-Enter", run: act("onRunStatement") },
              { key: "Mod-Shift-Enter", run: act("onExplain") },
              { key: "Tab", run: acceptCompletion },
            ]),
          ),
          lineNumbers(),
          history(),
          drawSelection(),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          highlightActiveLine(),
          EditorView.lineWrapping,
          // Escape, then Tab leaves the editor: the keyboard is not caught in it.
          keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
          language.current.of(sql({ dialect: PostgreSQL })),
          syntaxHighlighting(highlight),
          look,
          EditorView.contentAttributes.of({ "aria-label": first.current.label, spellcheck: "false" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => {
      view.current = null;
      editor.destroy();
    };
  }, []);

  useEffect(() => {
    view.current?.dispatch({
      effects: language.current.reconfigure(
        sql({ dialect: PostgreSQL, schema, defaultSchema: "public", upperCaseKeywords: false }),
      ),
    });
  }, [schema]);

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const marks: Diagnostic[] = [];
    if (mark) {
      const from = Math.min(mark.position, editor.state.doc.length);
      const word = editor.state.wordAt(from);
      const to = Math.max(word?.to ?? from + 1, from + 1);
      marks.push({ from, to: Math.min(to, editor.state.doc.length), severity: "error", message: mark.message });
    }
    editor.dispatch(setDiagnostics(editor.state, marks));
  }, [mark]);

  useImperativeHandle(ref, () => ({
    selection: () => {
      const state = view.current?.state;
      return state ? state.sliceDoc(state.selection.main.from, state.selection.main.to) : "";
    },
    cursor: () => view.current?.state.selection.main.head ?? 0,
    selectionStart: () => view.current?.state.selection.main.from ?? 0,
    focus: () => view.current?.focus(),
  }));

  return <div ref={place} className={styles.editor} />;
}
