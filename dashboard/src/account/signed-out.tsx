/** The frame of the pages for people who are not signed in. */
import { type ReactNode, useEffect } from "react";
import styles from "./signed-out.module.css";

export function SignedOut({
  title,
  lead,
  children,
  foot,
}: {
  readonly title: string;
  readonly lead?: ReactNode;
  readonly children: ReactNode;
  readonly foot?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Supalove`;
  }, [title]);
  return (
    <main className={styles.page}>
      <div className={styles.panel}>
        <div className={styles.brand}>
          <img src="/favicon.svg" alt="" />
          Supalove
        </div>
        <div className={styles.head}>
          <h1>{title}</h1>
          {lead ? <p>{lead}</p> : null}
        </div>
        {children}
        {foot ? <p className={styles.foot}>{foot}</p> : null}
      </div>
    </main>
  );
}

export { styles as signedOutStyles };
