/** What every page is made of: its title with its deeds, and sections below. The title is the document's as well. */
import { type ReactNode, useEffect } from "react";
import styles from "./shell.module.css";

export function Page({
  title,
  lead,
  actions,
  children,
  documentTitle,
}: {
  readonly title: ReactNode;
  readonly lead?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
  /** Never a secret: it goes into the browser's history. */
  readonly documentTitle: string;
}) {
  useEffect(() => {
    document.title = `${documentTitle} · Supalove`;
  }, [documentTitle]);
  return (
    <>
      <div className={styles.pageHead}>
        <div>
          <h1>{title}</h1>
          {lead ? <p>{lead}</p> : null}
        </div>
        {actions ? <div className={styles.pageActions}>{actions}</div> : null}
      </div>
      {children}
    </>
  );
}

export function Section({
  title,
  lead,
  actions,
  children,
}: {
  readonly title: ReactNode;
  readonly lead?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}) {
  return (
    <section className={styles.section}>
      <div className={styles.sectionHead}>
        <h2>{title}</h2>
        {actions ? <div className={styles.pageActions}>{actions}</div> : null}
        {lead ? <p>{lead}</p> : null}
      </div>
      {children}
    </section>
  );
}

/** Search, filters and deeds above a list. */
export function Toolbar({ children }: { readonly children: ReactNode }) {
  return (
    <div role="toolbar" className={styles.toolbar}>
      {children}
    </div>
  );
}
